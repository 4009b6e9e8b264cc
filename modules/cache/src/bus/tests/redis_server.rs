//! A Redis for one test, with a password.

use std::time::Duration;

use super::PATIENCE;
use crate::redis_service::Redis;

const PASSWORD: &str = "sesame";

pub(in crate::bus) struct RedisServer(Redis);

impl RedisServer {
    /// One in which nothing is.
    pub fn start() -> Self {
        Self(Redis::start_with(&["--requirepass", PASSWORD]))
    }

    pub fn url(&self) -> String {
        format!("redis://:{PASSWORD}@127.0.0.1:{}/0", self.0.port)
    }

    /// Ends it at once.
    pub fn end(&mut self) {
        self.0.kill();
    }

    /// Starts it again, with nothing but what it was told to save. Instances notice meanwhile that it
    /// is away.
    pub async fn restart(&mut self) {
        self.end();
        self.0.begin();
        loop {
            match self.0.answers() {
                Some(answers) => return assert!(answers, "the port is taken"),
                None => tokio::time::sleep(Duration::from_millis(5)).await,
            }
        }
    }

    /// Stops it in the middle of whatever it does.
    pub fn freeze(&self) {
        self.0.freeze();
    }

    /// Lets it go on.
    pub fn thaw(&self) {
        self.0.thaw();
    }

    /// Carries out a command.
    pub async fn command<T: redis::FromRedisValue>(&self, words: &[&str]) -> T {
        let client = redis::Client::open(self.url()).unwrap();
        let config = redis::AsyncConnectionConfig::new()
            .set_connection_timeout(Some(PATIENCE))
            .set_response_timeout(Some(PATIENCE));
        let connection = client.get_multiplexed_async_connection_with_config(&config);
        let mut connection = connection.await.unwrap();
        let command = redis::cmd(words[0]).arg(&words[1..]).clone();
        command.query_async(&mut connection).await.unwrap()
    }
}

//! Redis servers for tests: the one that `NUBO_TEST_REDIS_URL` names, or one of a test's own.

use crate::redis_service::{Cluster, Redis};

/// A server, and what the keys of a test begin with there.
pub(super) struct Server {
    pub url: String,
    pub prefix: String,
    own: Option<Redis>,
    /// Ends with this.
    _cluster: Option<Cluster>,
    /// Whether the test's keys go with this.
    cleans: bool,
}

impl Server {
    /// One that others may use at the same time.
    pub fn shared() -> Self {
        match std::env::var("NUBO_TEST_REDIS_URL") {
            Ok(url) => Self {
                url,
                prefix: prefix(),
                own: None,
                _cluster: None,
                cleans: true,
            },
            Err(_) => Self::start(&[]),
        }
    }

    /// One of the test's own, which may do anything to it.
    pub fn start(options: &[&str]) -> Self {
        let own = Redis::start_with(options);
        Self {
            url: own.url(),
            prefix: prefix(),
            own: Some(own),
            _cluster: None,
            cleans: false,
        }
    }

    /// A cluster of the test's own.
    pub fn cluster() -> Self {
        let cluster = Cluster::start();
        Self {
            url: cluster.url(),
            prefix: prefix(),
            own: None,
            _cluster: Some(cluster),
            cleans: false,
        }
    }

    /// The same server and the same keys once more.
    pub fn known(other: &Self) -> Self {
        Self {
            url: other.url.clone(),
            prefix: other.prefix.clone(),
            own: None,
            _cluster: None,
            cleans: false,
        }
    }

    /// Kills it and starts it again with what it has saved.
    pub fn restart(&mut self) {
        self.kill();
        self.own.as_mut().unwrap().resume();
    }

    /// Kills it.
    pub fn kill(&mut self) {
        self.own.as_mut().unwrap().kill();
    }

    /// Stops it in the middle of whatever it does.
    pub fn freeze(&self) {
        self.own.as_ref().unwrap().freeze();
    }

    /// Lets it go on.
    pub fn thaw(&self) {
        self.own.as_ref().unwrap().thaw();
    }

    /// What it answers to a command.
    pub fn ask<T: redis::FromRedisValue>(&self, command: &[&str]) -> T {
        let (name, arguments) = command.split_first().unwrap();
        redis::cmd(name)
            .arg(arguments)
            .query(&mut self.connection())
            .unwrap()
    }

    /// The keys of this test.
    pub fn keys(&self) -> Vec<Vec<u8>> {
        let mut command = redis::cmd("KEYS");
        command.arg(format!("{}*", self.prefix));
        command.query(&mut self.connection()).unwrap()
    }

    fn connection(&self) -> redis::Connection {
        let client = redis::Client::open(&self.url[..]).unwrap();
        client.get_connection().unwrap()
    }

    /// Makes keys look as if nobody had used them for long.
    pub fn age(&self, keys: impl Iterator<Item = Vec<u8>>) {
        let mut connection = self.connection();
        for key in keys {
            let dump: Option<Vec<u8>> =
                redis::cmd("DUMP").arg(&key).query(&mut connection).unwrap();
            let Some(dump) = dump else { continue };
            let mut command = redis::cmd("RESTORE");
            command.arg(&key).arg(0).arg(dump);
            command.arg("REPLACE").arg("IDLETIME").arg(1000);
            command.exec(&mut connection).unwrap();
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if self.cleans {
            let keys = self.keys();
            if !keys.is_empty() {
                redis::cmd("DEL")
                    .arg(keys)
                    .exec(&mut self.connection())
                    .unwrap();
            }
        }
    }
}

/// One that no other test has.
fn prefix() -> String {
    format!("nubo-test:{:016x}:", fastrand::u64(..))
}

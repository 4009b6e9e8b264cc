//! Nubo with accounts: its configuration, the people who sign up, and the collections both `rules`
//! and `logins` read.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use fastrand::Rng;
use serde_json::{Value, json};

use crate::client::Client;
use crate::dataset::uuid;
use crate::interrupt::Interrupt;
use crate::peer::Nubo;

/// Messages that everybody may read.
pub const OPEN: &str = "open_messages";

/// Hashing a password may have to wait for others.
pub const LIMIT: Duration = Duration::from_secs(30);

/// The server, with `benches/accounts/nubo.yaml`.
pub fn nubo(interrupt: &Interrupt) -> Result<Nubo> {
    Nubo::with_config("benches/accounts/nubo.yaml", interrupt)
}

/// Somebody who has signed up.
pub struct Account {
    /// The account's id.
    pub id: String,
    /// Value of `Authorization`.
    pub authorization: String,
    /// What the account signs in with.
    pub username: String,
    /// In clear.
    pub password: String,
}

impl Account {
    /// The body of a login.
    pub fn credentials(&self) -> Value {
        json!({ "identifier": self.username, "password": self.password })
    }
}

/// Signs `count` people up, the same for the same count.
pub fn sign_up(address: SocketAddr, count: usize) -> Result<Vec<Account>> {
    let mut client = Client::connect(address, LIMIT)?;
    let mut rng = Rng::with_seed(2);
    let mut sign_up = |number: usize| {
        let username = format!("reader{number}");
        // No password that anybody would guess: those are refused.
        let password = uuid(rng.u128(..), 4);
        let body = json!({
            "username": username,
            "email": format!("{username}@example.com"),
            "password": password,
            "first_name": "Reader",
            "last_name": number.to_string(),
        });
        let answer = client.json("POST", "/signup", Some(&body))?;
        let id = answer["user"]["id"].as_str();
        Ok(Account {
            id: id.context("a sign-up answered no account")?.to_owned(),
            authorization: authorization(&answer)?,
            username,
            password,
        })
    };
    (0..count).map(&mut sign_up).collect()
}

/// The value of `Authorization` that an answer to a sign-up or a login makes possible.
pub fn authorization(answer: &Value) -> Result<String> {
    ensure!(
        answer["token_type"] == "Bearer" && answer["refresh_token"].is_string(),
        "no tokens: {answer}"
    );
    let token = answer["access_token"].as_str();
    Ok(format!("Bearer {}", token.context("no access token")?))
}

/// Asks for a count, as somebody or as nobody.
pub fn count(client: &mut Client, collection: &str, authorization: Option<&str>) -> Result<u64> {
    let path = format!("/{collection}/count");
    let (status, answer) = client.ask("GET", &path, authorization, None)?;
    let count = answer["count"].as_u64().filter(|_| status == 200);
    count.with_context(|| format!("GET {path} answered {status}: {answer}"))
}

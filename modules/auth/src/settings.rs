//! The section `auth` of `nubo.yaml`. What its names stand for in the catalog is found out in
//! [`crate::model`].

use std::fmt;

use nubo_core::{module::SetupError, schema::parse_period};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value as Json, json};

/// Who people are and how they prove it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// What access tokens are signed with: at least 32 bytes that nobody can guess. Where there is
    /// none, one is made at the first start and kept in the data folder; several servers behind one
    /// address need the same one.
    #[schemars(with = "Option<String>", extend("format" = "password"))]
    pub jwt_secret: Option<Secret>,
    /// Secrets that tokens may still be signed with. To change the secret, put the old one here
    /// until the refresh tokens of its time have ended.
    #[schemars(with = "Vec<String>", extend("format" = "password"))]
    pub previous_secrets: Vec<Secret>,
    /// The collection of accounts.
    pub accounts: AccountSettings,
    /// The collection of sessions: its name, or its name and those of its fields.
    pub sessions: SessionSettings,
    /// The collection to which the reuse of a refresh token is reported. It needs a field `action`;
    /// `actor_id`, `collection`, `document_id` and `ip` are written where it has them.
    pub audit: Option<String>,
    /// What tokens say and how long they live.
    pub tokens: TokenSettings,
    /// How passwords are hashed and which ones are refused.
    pub passwords: PasswordSettings,
    /// How often signing in may be tried.
    pub throttle: ThrottleSettings,
    /// `GET /token` gives anybody a token for any account. For development only.
    pub dev_tokens: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            jwt_secret: None,
            previous_secrets: Vec::new(),
            accounts: AccountSettings::default(),
            sessions: SessionSettings::default(),
            audit: Some("audit_logs".into()),
            tokens: TokenSettings::default(),
            passwords: PasswordSettings::default(),
            throttle: ThrottleSettings::default(),
            dev_tokens: false,
        }
    }
}

/// A text that is not shown.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Secret(pub String);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(secret)")
    }
}

/// Which collection holds the accounts, and what its fields mean. What stands here as built in may
/// be missing in the collection; what is written otherwise must be there.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct AccountSettings {
    /// The collection. Its owner should be `id`.
    pub collection: String,
    /// Unique fields of text that people sign in with.
    pub identifiers: Vec<String>,
    /// The field of type `password`.
    pub password: String,
    /// The list of roles, which rules such as `role:admin` look at.
    pub roles: Option<String>,
    /// The field that says whether the account may be used.
    pub state: Option<String>,
    /// States, by name or value, in which nobody can sign in and no session is live.
    pub refused_states: Vec<Json>,
    /// The state of an account that its owner has deleted.
    pub deleted_state: Option<Json>,
    /// Counts the sign-ins.
    pub login_count: Option<String>,
    /// Becomes the time of each sign-in.
    pub last_login: Option<String>,
    /// Fields that stay as they are when an account is deleted. All others are cleared.
    pub kept_on_deletion: Vec<String>,
}

impl Default for AccountSettings {
    fn default() -> Self {
        let some = |name: &str| Some(name.to_owned());
        Self {
            collection: "users".into(),
            identifiers: vec!["username".into(), "email".into()],
            password: "password".into(),
            roles: some("roles"),
            state: some("state"),
            refused_states: vec![json!("banned"), json!("suspended")],
            deleted_state: Some(json!("deleted")),
            login_count: some("login_count"),
            last_login: some("last_login"),
            kept_on_deletion: vec!["roles".into()],
        }
    }
}

/// Which collection holds the sessions: its name alone where the fields have the built-in names.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum SessionSettings {
    /// The collection.
    Collection(String),
    /// The collection and its fields.
    Fields(Box<SessionFields>),
}

impl Default for SessionSettings {
    fn default() -> Self {
        Self::Collection(SessionFields::default().collection)
    }
}

impl SessionSettings {
    /// All names.
    pub fn fields(&self) -> SessionFields {
        match self {
            Self::Collection(name) => SessionFields {
                collection: name.clone(),
                ..SessionFields::default()
            },
            Self::Fields(fields) => (**fields).clone(),
        }
    }
}

/// What the fields of a session mean.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct SessionFields {
    /// The collection.
    pub collection: String,
    /// Refers to the account.
    pub account: String,
    /// A hidden text: the hash of the refresh token that is valid.
    pub refresh_token_hash: String,
    /// A whole number: how often the refresh token has been replaced.
    pub generation: String,
    /// When that was last.
    pub refreshed_at: String,
    /// When the session ends unless it is used.
    pub expires_at: String,
    /// Whether it was ended.
    pub revoked: String,
    /// Json: what the client says of itself.
    pub device_info: Option<String>,
    /// A list of the addresses that it was used from.
    pub ip: Option<String>,
}

impl Default for SessionFields {
    fn default() -> Self {
        Self {
            collection: "sessions".into(),
            account: "user_id".into(),
            refresh_token_hash: "refresh_token_hash".into(),
            generation: "generation".into(),
            refreshed_at: "refreshed_at".into(),
            expires_at: "expires_at".into(),
            revoked: "revoked".into(),
            device_info: Some("device_info".into()),
            ip: Some("ip".into()),
        }
    }
}

/// What tokens say and how long they live. Periods are written as `15m`, `12h` or `30d`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct TokenSettings {
    /// The claim `iss`: who has given the token.
    pub issuer: String,
    /// The claim `aud`: whom it is for.
    pub audience: String,
    /// How long an access token is valid.
    pub access: String,
    /// How long a session lives on without being used.
    pub refresh: String,
    /// How long a refresh token that was just replaced may be used once more, as by a second tab.
    pub reuse_grace: String,
    /// How many sessions are kept in memory.
    #[schemars(range(min = 1, max = 10_000_000))]
    pub live_sessions: usize,
}

impl Default for TokenSettings {
    fn default() -> Self {
        Self {
            issuer: "nubo".into(),
            audience: "nubo".into(),
            access: "15m".into(),
            refresh: "30d".into(),
            reuse_grace: "10s".into(),
            live_sessions: 100_000,
        }
    }
}

/// How passwords are hashed and which ones are refused. They are hashed with argon2id; the built-in
/// values are those that the OWASP Password Storage Cheat Sheet recommends. Hashes made with other
/// values stay valid and are replaced at the next sign-in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct PasswordSettings {
    /// Memory that one hash takes, in KiB. More makes guessing costlier, and signing in too.
    #[schemars(range(min = 8, max = 4_194_304))]
    pub memory_kib: u32,
    /// How many times that memory is gone through.
    #[schemars(range(min = 1, max = 1000))]
    pub iterations: u32,
    /// Lanes the memory is divided into.
    #[schemars(range(min = 1, max = 256))]
    pub parallelism: u32,
    /// How many hashes are computed at the same time; 0 for one per processor core.
    #[schemars(range(min = 0, max = 1024))]
    pub concurrency: u32,
    /// How many may wait for their turn. More get 503 and are asked to come back.
    #[schemars(range(min = 0, max = 100_000))]
    pub queue: u32,
    /// Most characters of a new password.
    #[schemars(range(min = 8, max = 1024))]
    pub max_length: u32,
    /// Whether new passwords that are tried first by those who guess are refused.
    pub refuse_common: bool,
}

impl Default for PasswordSettings {
    fn default() -> Self {
        Self {
            memory_kib: 19 * 1024,
            iterations: 2,
            parallelism: 1,
            concurrency: 0,
            queue: 256,
            max_length: 128,
            refuse_common: true,
        }
    }
}

/// How often signing in may be tried. An address of IPv6 stands for all of its /64.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ThrottleSettings {
    /// Whether there is a limit at all.
    pub enabled: bool,
    /// Failed sign-ins to one account; wrong current passwords too.
    pub login_per_account: RateSettings,
    /// Sign-ins from one address, failed or not.
    pub login_per_address: RateSettings,
    /// New accounts from one address.
    pub signup_per_address: RateSettings,
    /// Uses of refresh tokens from one address.
    pub refresh_per_address: RateSettings,
    /// How many accounts and addresses are remembered.
    #[schemars(range(min = 1, max = 10_000_000))]
    pub remembered: usize,
}

impl Default for ThrottleSettings {
    fn default() -> Self {
        let rate = |burst, per: &str| RateSettings {
            burst,
            per: per.into(),
        };
        Self {
            enabled: true,
            login_per_account: rate(10, "1m"),
            login_per_address: rate(60, "1s"),
            signup_per_address: rate(60, "10s"),
            refresh_per_address: rate(120, "500ms"),
            remembered: 100_000,
        }
    }
}

/// So many at once, and after that one more each time the period has passed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RateSettings {
    /// How many at once.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub burst: u32,
    /// After how long there is one more, for example `1m`.
    pub per: String,
}

/// A period of the settings in milliseconds.
pub(crate) fn period(setting: &str, text: &str) -> Result<i64, SetupError> {
    parse_period(text).ok_or_else(|| {
        SetupError::new(format!(
            "auth.{setting}: `{text}` is no period such as 30d, 12h, 15m or 10s"
        ))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_not_shown() {
        let settings = Settings {
            jwt_secret: Some(Secret("hunter2".into())),
            previous_secrets: vec![Secret("hunter1".into())],
            ..Settings::default()
        };
        assert!(!format!("{settings:?}").contains("hunter"));
        let schema = serde_json::to_value(schemars::schema_for!(Settings)).unwrap();
        for secret in ["jwt_secret", "previous_secrets"] {
            assert_eq!(schema["properties"][secret]["format"], "password");
        }
    }

    #[test]
    fn sessions_are_named_short_or_long() {
        let read = |json| serde_json::from_value::<Settings>(json).unwrap().sessions;
        let short = read(json!({ "sessions": "logins" })).fields();
        assert_eq!(
            (short.collection.as_str(), short.account.as_str()),
            ("logins", "user_id")
        );
        let long = read(json!({ "sessions": { "collection": "logins", "account": "who" } }));
        assert_eq!(long.fields().account, "who");
        assert_eq!(read(json!({})).fields(), SessionFields::default());
    }

    #[test]
    fn what_is_no_period_is_refused_by_its_name() {
        let error = period("tokens.access", "15").unwrap_err().to_string();
        assert!(error.contains("auth.tokens.access"), "{error}");
        assert_eq!(period("tokens.access", "15m").unwrap(), 900_000);
    }
}

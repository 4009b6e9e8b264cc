//! Access tokens: JWTs (RFC 7519), HS256 and nothing else.
//!
//! A token says who and through which session; whether that session is live is not its business
//! but [`crate::registry`]'s. Time comes from the server's clock alone, without leeway: the server
//! that checks a token is the one that has made it.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::{
    Algorithm, DecodingKey, EncodingKey, Header, Validation, decode, encode, errors::ErrorKind,
};
use nubo_core::{Error, Result, clock::Random, id::Id, time::Timestamp};
use serde::{Deserialize, Serialize};

use crate::{settings::Secret, verified::Verified};

/// Longest token that is looked at, in bytes.
const MAX_BYTES: usize = 4096;

/// Makes and checks access tokens.
pub(crate) struct AccessTokens {
    issuer: String,
    audience: String,
    /// Milliseconds.
    lifetime: i64,
    encoding: EncodingKey,
    /// Of all secrets, the one in force first.
    decoding: Vec<DecodingKey>,
    header: Header,
    validation: Validation,
    verified: Verified,
}

/// What a token says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Claims {
    pub account: Id,
    /// None for a test token.
    pub session: Option<Id>,
    /// In place of the account's, in a test token.
    pub roles: Option<Vec<String>>,
    pub expires_at: Timestamp,
}

/// The same as it is written.
#[derive(Serialize, Deserialize)]
struct Written {
    sub: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    sid: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    roles: Option<Vec<String>>,
    iat: i64,
    exp: i64,
    jti: String,
    iss: String,
    aud: String,
}

impl AccessTokens {
    /// Tokens of this issuer for this audience that live so many milliseconds.
    pub fn new(
        issuer: &str,
        audience: &str,
        lifetime: i64,
        current: &Secret,
        previous: &[Secret],
    ) -> Self {
        crate::signature::install();
        let mut validation = Validation::new(Algorithm::HS256);
        validation.set_issuer(&[issuer]);
        validation.set_audience(&[audience]);
        validation.set_required_spec_claims(&["exp", "iss", "aud", "sub"]);
        // Checked below, with the server's own clock.
        validation.validate_exp = false;
        let secrets = std::iter::once(current).chain(previous);
        Self {
            issuer: issuer.to_owned(),
            audience: audience.to_owned(),
            lifetime,
            encoding: EncodingKey::from_secret(current.0.as_bytes()),
            decoding: secrets
                .map(|secret| DecodingKey::from_secret(secret.0.as_bytes()))
                .collect(),
            header: Header::new(Algorithm::HS256),
            validation,
            verified: Verified::default(),
        }
    }

    /// How long a token is valid, in whole seconds.
    pub fn seconds(&self) -> i64 {
        self.lifetime / 1000
    }

    /// A token for an account, through a session or, for tests, with these roles.
    pub fn issue(
        &self,
        account: Id,
        session: Option<Id>,
        roles: Option<Vec<String>>,
        now: Timestamp,
        random: &dyn Random,
    ) -> Result<String> {
        let mut unique = [0; 12];
        random.fill(&mut unique);
        let issued = now.millis().div_euclid(1000);
        let claims = Written {
            sub: account.to_string(),
            sid: session.map(|id| id.to_string()),
            roles,
            iat: issued,
            exp: issued + self.seconds(),
            jti: URL_SAFE_NO_PAD.encode(unique),
            iss: self.issuer.clone(),
            aud: self.audience.clone(),
        };
        encode(&self.header, &claims, &self.encoding).map_err(Error::internal)
    }

    /// What a token says, where it is one of ours and not over.
    pub fn check(&self, token: &str, now: Timestamp) -> Result<Claims> {
        if token.len() > MAX_BYTES {
            return Err(malformed());
        }
        let claims = match self.verified.get(token) {
            Some(claims) => claims,
            None => {
                let claims = self.claims(token)?;
                // What is over already need not be remembered.
                if claims.expires_at > now {
                    self.verified.put(token, claims.clone());
                }
                claims
            }
        };
        match claims.expires_at > now {
            true => Ok(claims),
            false => Err(refused("expired_token", "the access token has expired")),
        }
    }

    /// What a token says, expired or not.
    fn claims(&self, token: &str) -> Result<Claims> {
        let written = self.verify(token)?;
        let session = written.sid.map(|id| id.parse()).transpose();
        let (Ok(account), Ok(session)) = (written.sub.parse(), session) else {
            return Err(malformed());
        };
        Ok(Claims {
            account,
            session,
            roles: written.roles,
            expires_at: Timestamp::from_millis(written.exp.saturating_mul(1000)),
        })
    }

    /// Tries each secret until one fits.
    fn verify(&self, token: &str) -> Result<Written> {
        let unsigned = || {
            refused(
                "invalid_signature",
                "the access token was not signed by this server",
            )
        };
        for key in &self.decoding {
            match decode::<Written>(token, key, &self.validation) {
                Ok(token) => return Ok(token.claims),
                Err(error) => match error.kind() {
                    ErrorKind::InvalidSignature => {}
                    ErrorKind::InvalidAlgorithm => return Err(unsigned()),
                    _ => return Err(malformed()),
                },
            }
        }
        Err(unsigned())
    }
}

fn malformed() -> Error {
    refused(
        "malformed_token",
        "what was sent as a token is no access token of this server",
    )
}

/// 401 with a code for programs.
pub(crate) fn refused(code: &'static str, detail: &str) -> Error {
    Error::Unauthorized {
        code,
        detail: detail.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::{fake::Dice, signature::Hs256};

    fn secret(letter: &str) -> Secret {
        Secret(letter.repeat(32))
    }

    fn tokens(current: &str, previous: &[&str]) -> AccessTokens {
        let previous: Vec<Secret> = previous.iter().map(|letter| secret(letter)).collect();
        AccessTokens::new("nubo", "nubo", 900_000, &secret(current), &previous)
    }

    const NOW: i64 = 1_795_000_000_000;

    fn account() -> Id {
        Id::from_uuid(uuid::Uuid::from_u128(7))
    }

    fn issued(tokens: &AccessTokens) -> String {
        let now = Timestamp::from_millis(NOW);
        tokens
            .issue(account(), Some(account()), None, now, &Dice::default())
            .unwrap()
    }

    fn code(tokens: &AccessTokens, token: &str, after: i64) -> &'static str {
        match tokens.check(token, Timestamp::from_millis(NOW + after)) {
            Ok(_) => "fine",
            Err(error) => error.code(),
        }
    }

    /// A token of these parts, signed by hand.
    fn made(header: &serde_json::Value, claims: &serde_json::Value, letter: &str) -> String {
        let part = |json: &serde_json::Value| URL_SAFE_NO_PAD.encode(json.to_string());
        let message = format!("{}.{}", part(header), part(claims));
        let signature = Hs256::new(secret(letter).0.as_bytes()).sign(message.as_bytes());
        format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature))
    }

    fn claims() -> serde_json::Value {
        json!({
            "sub": account().to_string(), "sid": account().to_string(), "iat": NOW / 1000,
            "exp": NOW / 1000 + 900, "jti": "x", "iss": "nubo", "aud": "nubo",
        })
    }

    #[test]
    fn a_token_says_who_and_until_when() {
        let tokens = tokens("a", &[]);
        let claims = tokens
            .check(&issued(&tokens), Timestamp::from_millis(NOW))
            .unwrap();
        assert_eq!(
            (claims.account, claims.session),
            (account(), Some(account()))
        );
        assert_eq!(claims.expires_at, Timestamp::from_millis(NOW + 900_000));
        assert_eq!(
            code(
                &tokens,
                &made(&json!({ "alg": "HS256" }), &self::claims(), "a"),
                0
            ),
            "fine"
        );
    }

    #[test]
    fn a_token_ends_to_the_moment() {
        let tokens = tokens("a", &[]);
        let token = issued(&tokens);
        assert_eq!(code(&tokens, &token, 899_999), "fine");
        assert_eq!(code(&tokens, &token, 900_000), "expired_token");
    }

    #[test]
    fn what_somebody_else_has_signed_is_refused() {
        let (ours, theirs) = (tokens("a", &[]), tokens("b", &[]));
        assert_eq!(code(&ours, &issued(&theirs), 0), "invalid_signature");
        let token = issued(&ours);
        let (head, _) = token.rsplit_once('.').unwrap();
        for signature in ["", "AAAA", &"A".repeat(43)] {
            assert_eq!(
                code(&ours, &format!("{head}.{signature}"), 0),
                "invalid_signature"
            );
        }
        let (header, _) = token.split_once('.').unwrap();
        let mut other = claims();
        other["sub"] = json!(Id::from_uuid(uuid::Uuid::from_u128(8)).to_string());
        let forged = made(&json!({}), &other, "b");
        let parts: Vec<&str> = forged.split('.').collect();
        let forged = format!("{header}.{}.{}", parts[1], parts[2]);
        assert_eq!(code(&ours, &forged, 0), "invalid_signature");
    }

    #[test]
    fn no_algorithm_but_ours_will_do() {
        let tokens = tokens("a", &[]);
        for algorithm in ["none", "None", "HS384", "HS512", "RS256", "ES256"] {
            let header = json!({ "alg": algorithm, "typ": "JWT" });
            let token = made(&header, &claims(), "a");
            assert_ne!(code(&tokens, &token, 0), "fine", "{algorithm}");
            let (unsigned, _) = token.rsplit_once('.').unwrap();
            assert_ne!(
                code(&tokens, &format!("{unsigned}."), 0),
                "fine",
                "{algorithm}"
            );
        }
    }

    #[test]
    fn tokens_for_others_are_refused() {
        let tokens = tokens("a", &[]);
        let header = json!({ "alg": "HS256" });
        for (claim, value) in [
            ("aud", json!("somebody")),
            ("iss", json!("somebody")),
            ("aud", json!(null)),
            ("iss", json!(null)),
            ("exp", json!(null)),
            ("exp", json!("tomorrow")),
            ("sub", json!("somebody")),
            ("sid", json!("something")),
        ] {
            let mut claims = claims();
            claims[claim] = value;
            let token = made(&header, &claims, "a");
            assert_eq!(code(&tokens, &token, 0), "malformed_token", "{claim}");
        }
        let mut forever = claims();
        forever["exp"] = json!(i64::MAX);
        assert_eq!(code(&tokens, &made(&header, &forever, "a"), 0), "fine");
        for text in ["", ".", "..", "a.b", "a.b.c", "a.b.c.d", &"x".repeat(5000)] {
            assert_eq!(code(&tokens, text, 0), "malformed_token", "{text}");
        }
    }

    #[test]
    fn tokens_outlive_a_change_of_the_secret() {
        let before = tokens("a", &[]);
        let after = tokens("b", &["c", "a"]);
        assert_eq!(code(&after, &issued(&before), 0), "fine");
        assert_eq!(code(&after, &issued(&after), 0), "fine");
        assert_eq!(code(&before, &issued(&after), 0), "invalid_signature");
        assert_eq!(
            code(&tokens("b", &[]), &issued(&before), 0),
            "invalid_signature"
        );
    }
}

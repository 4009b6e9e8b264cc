//! Refresh tokens: opaque to clients, and recognisable to the server even when they are old.
//!
//! A token is `base64url(session id ‖ generation ‖ seed ‖ HMAC-SHA256 of these)`. The seed is random
//! and stays the same for a whole session; the generation counts up each time the token is replaced.
//! The key of the HMAC is derived from the secret of the access tokens. So
//!
//! * nobody else can make one: without the key there is no HMAC, and without the seed no session;
//! * one that was replaced can be told from one that was never given, which means that somebody
//!   has a copy ([`crate::refresh`] ends the session then);
//! * its successor can be computed from it, so that two tabs that refresh at the same moment get
//!   the same one.
//!
//! The server stores the SHA-256 of the token in force. It needs no slow hash: there are 128 random
//! bits in it.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use nubo_core::{clock::Random, id::Id};
use sha2::{Digest, Sha256};

use crate::{
    settings::Secret,
    signature::{self, Hs256},
};

const ID: usize = 16;
const GENERATION: usize = 4;
const SEED: usize = 16;
const BODY: usize = ID + GENERATION + SEED;
const WHOLE: usize = BODY + signature::LENGTH;
/// Characters of base64url without padding.
const TEXT: usize = (WHOLE * 4).div_ceil(3);

/// What the key is derived with, so that no signature of an access token is one of these.
const LABEL: &[u8] = b"nubo refresh token 1";

/// Makes and recognises refresh tokens.
pub(crate) struct RefreshTokens {
    /// Of all secrets, the one in force first.
    keys: Vec<Hs256>,
}

/// A refresh token that this server has made once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RefreshToken {
    /// The session that it belongs to.
    pub session: Id,
    /// How often it had been replaced when it was made.
    pub generation: u32,
    seed: [u8; SEED],
    text: String,
}

impl RefreshToken {
    /// As it is sent.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// As it is stored.
    pub fn hash(&self) -> String {
        URL_SAFE_NO_PAD.encode(Sha256::digest(&self.text))
    }
}

impl RefreshTokens {
    /// With keys derived from these secrets.
    pub fn new(current: &Secret, previous: &[Secret]) -> Self {
        let secrets = std::iter::once(current).chain(previous);
        let key = |secret: &Secret| Hs256::new(&Hs256::new(secret.0.as_bytes()).sign(LABEL));
        Self {
            keys: secrets.map(key).collect(),
        }
    }

    /// The first token of a session.
    pub fn first(&self, session: Id, random: &dyn Random) -> RefreshToken {
        let mut seed = [0; SEED];
        random.fill(&mut seed);
        self.make(&self.keys[0], session, 0, seed)
    }

    /// The token that follows.
    pub fn successor(&self, token: &RefreshToken) -> RefreshToken {
        self.make(
            &self.keys[0],
            token.session,
            token.generation.wrapping_add(1),
            token.seed,
        )
    }

    /// The token that followed, which may have been made with a secret that is no longer in force.
    pub fn successor_with_hash(&self, token: &RefreshToken, hash: &str) -> Option<RefreshToken> {
        let generation = token.generation.wrapping_add(1);
        let made = |key| self.make(key, token.session, generation, token.seed);
        self.keys
            .iter()
            .map(made)
            .find(|token| token.hash() == hash)
    }

    /// Reads a token; none where it was not made here.
    pub fn read(&self, text: &str) -> Option<RefreshToken> {
        if text.len() != TEXT {
            return None;
        }
        let bytes: [u8; WHOLE] = URL_SAFE_NO_PAD.decode(text).ok()?.try_into().ok()?;
        let (body, signature) = bytes.split_at(BODY);
        self.keys.iter().find(|key| key.fits(body, signature))?;
        let (session, rest) = body.split_first_chunk::<ID>()?;
        let (generation, seed) = rest.split_first_chunk::<GENERATION>()?;
        Some(RefreshToken {
            session: id_from(*session),
            generation: u32::from_be_bytes(*generation),
            seed: seed.try_into().ok()?,
            text: text.to_owned(),
        })
    }

    fn make(&self, key: &Hs256, session: Id, generation: u32, seed: [u8; SEED]) -> RefreshToken {
        let mut bytes = Vec::with_capacity(WHOLE);
        bytes.extend_from_slice(session.uuid().as_bytes());
        bytes.extend_from_slice(&generation.to_be_bytes());
        bytes.extend_from_slice(&seed);
        let signature = key.sign(&bytes);
        bytes.extend_from_slice(&signature);
        RefreshToken {
            session,
            generation,
            seed,
            text: URL_SAFE_NO_PAD.encode(bytes),
        }
    }
}

fn id_from(bytes: [u8; ID]) -> Id {
    Id::from_uuid(uuid::Uuid::from_bytes(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake::Dice;

    fn tokens(current: &str, previous: &[&str]) -> RefreshTokens {
        let secret = |letter: &str| Secret(letter.repeat(32));
        let previous: Vec<Secret> = previous.iter().map(|letter| secret(letter)).collect();
        RefreshTokens::new(&secret(current), &previous)
    }

    fn id() -> Id {
        Id::from_uuid(uuid::Uuid::from_u128(7))
    }

    #[test]
    fn a_token_is_read_as_it_was_made() {
        let tokens = tokens("a", &[]);
        let first = tokens.first(id(), &Dice::default());
        assert_eq!(first.text().len(), TEXT);
        assert_eq!(tokens.read(first.text()), Some(first.clone()));
        let second = tokens.successor(&first);
        assert_eq!((second.generation, second.seed), (1, first.seed));
        assert_eq!(tokens.read(second.text()), Some(second.clone()));
        assert_ne!(first.hash(), second.hash());
    }

    #[test]
    fn nobody_else_can_make_one() {
        let token = tokens("b", &[]).first(id(), &Dice::default());
        let ours = tokens("a", &[]);
        assert_eq!(ours.read(token.text()), None);
        let own = ours.first(id(), &Dice::default());
        for at in 0..TEXT {
            let mut text = own.text().to_owned().into_bytes();
            text[at] = if text[at] == b'Q' { b'g' } else { b'Q' };
            assert_eq!(ours.read(&String::from_utf8(text).unwrap()), None, "{at}");
        }
        assert_eq!(ours.read(""), None);
        assert_eq!(ours.read(&"A".repeat(TEXT)), None);
        assert_eq!(ours.read(&format!("{}=", own.text())), None);
    }

    #[test]
    fn tokens_outlive_a_change_of_the_secret() {
        let (before, after) = (tokens("a", &[]), tokens("b", &["a"]));
        let first = before.first(id(), &Dice::default());
        let second = before.successor(&first);
        assert_eq!(after.read(first.text()), Some(first.clone()));
        // The successor that was given before the change is found again after it.
        let again = after.successor_with_hash(&first, &second.hash());
        assert_eq!(again.as_ref().map(RefreshToken::text), Some(second.text()));
        assert_ne!(after.successor(&first).text(), second.text());
        assert_eq!(tokens("b", &[]).read(first.text()), None);
    }
}

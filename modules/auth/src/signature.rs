//! HMAC-SHA256, for access tokens (as `jsonwebtoken` asks for it) and for refresh tokens.
//!
//! `jsonwebtoken` brings all of RSA and elliptic curves, or a C library, unless somebody gives it
//! the one algorithm that is needed. That happens here.

use hmac::{Hmac, KeyInit, Mac};
use jsonwebtoken::{
    Algorithm, AlgorithmFamily, DecodingKey, EncodingKey,
    crypto::{CryptoProvider, JwtSigner, JwtVerifier, KeyUtils},
    errors::{Error, ErrorKind, new_error},
    signature::{self, Signer, Verifier},
};
use sha2::Sha256;

/// Bytes of a signature.
pub(crate) const LENGTH: usize = 32;

/// HMAC-SHA256 with a key.
#[derive(Clone)]
pub(crate) struct Hs256(Hmac<Sha256>);

impl Hs256 {
    /// With this key; any length will do.
    pub fn new(key: &[u8]) -> Self {
        // HMAC takes keys of every length; the empty one is a fallback that never happens.
        let keyed = Hmac::new_from_slice(key);
        Self(keyed.unwrap_or_else(|_| Hmac::new(&Default::default())))
    }

    /// The signature of a message.
    pub fn sign(&self, message: &[u8]) -> [u8; LENGTH] {
        let mut mac = self.0.clone();
        mac.update(message);
        mac.finalize().into_bytes().into()
    }

    /// Whether it is the signature of the message. Takes as long for a wrong one as for the right
    /// one.
    pub fn fits(&self, message: &[u8], signature: &[u8]) -> bool {
        let mut mac = self.0.clone();
        mac.update(message);
        mac.verify_slice(signature).is_ok()
    }
}

impl Signer<Vec<u8>> for Hs256 {
    fn try_sign(&self, message: &[u8]) -> Result<Vec<u8>, signature::Error> {
        Ok(self.sign(message).into())
    }
}

impl JwtSigner for Hs256 {
    fn algorithm(&self) -> Algorithm {
        Algorithm::HS256
    }
}

impl Verifier<Vec<u8>> for Hs256 {
    fn verify(&self, message: &[u8], signature: &Vec<u8>) -> Result<(), signature::Error> {
        match self.fits(message, signature) {
            true => Ok(()),
            false => Err(signature::Error::new()),
        }
    }
}

impl JwtVerifier for Hs256 {
    fn algorithm(&self) -> Algorithm {
        Algorithm::HS256
    }
}

static PROVIDER: CryptoProvider = CryptoProvider {
    signer_factory,
    verifier_factory,
    key_utils: KeyUtils::new_unimplemented(),
};

fn signer_factory(algorithm: &Algorithm, key: &EncodingKey) -> Result<Box<dyn JwtSigner>, Error> {
    match (algorithm, key.family()) {
        (Algorithm::HS256, AlgorithmFamily::Hmac) => Ok(Box::new(Hs256::new(key.as_bytes()))),
        _ => Err(new_error(ErrorKind::InvalidAlgorithm)),
    }
}

fn verifier_factory(
    algorithm: &Algorithm,
    key: &DecodingKey,
) -> Result<Box<dyn JwtVerifier>, Error> {
    match (algorithm, key.family()) {
        (Algorithm::HS256, AlgorithmFamily::Hmac) => {
            Ok(Box::new(Hs256::new(key.try_get_as_bytes()?)))
        }
        _ => Err(new_error(ErrorKind::InvalidAlgorithm)),
    }
}

/// Gives `jsonwebtoken` its cryptography, once in a process. Where a program has given it another
/// one before, that stays.
pub(crate) fn install() {
    if PROVIDER.install_default().is_err() {
        tracing::trace!("jsonwebtoken has its cryptography already");
    }
}

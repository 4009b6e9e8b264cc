//! Encrypted connections that do not come about: what is wrong, and which setting to look at.
//!
//! The driver's own words (`invalid peer certificate: UnknownIssuer`) follow as the cause. They help
//! whoever knows TLS, and say to nobody what to do.

use std::path::Path;

use nubo_core::module::SetupError;
use rustls::{
    CertificateError,
    pki_types::{CertificateDer, pem::PemObject},
};

/// What the driver says where the server has no encryption to offer: it has words for it and no
/// type. A test notices where they change.
const NOT_OFFERED: &str = "server does not support TLS";

/// Makes sure that a file has certificates. The driver reads it anew for every connection, so that
/// it may be replaced while a server runs; where it is missing it would not say which file that is.
pub(super) fn check_root(root: &Path) -> Result<(), SetupError> {
    let named = format!("{} (tiers.truth.tls.root)", root.display());
    let pem = std::fs::read(root).map_err(|error| {
        SetupError::caused(format!("the certificates in {named} cannot be read"), error)
    })?;
    let mut certificates = 0;
    for certificate in CertificateDer::pem_slice_iter(&pem) {
        certificate.map_err(|error| {
            SetupError::caused(format!("the certificates in {named} are damaged"), error)
        })?;
        certificates += 1;
    }
    match certificates {
        0 => Err(SetupError::new(format!(
            "there is no certificate in {named}; it takes them as PEM, -----BEGIN CERTIFICATE-----"
        ))),
        _ => Ok(()),
    }
}

/// Who names certificates means the server's to be checked, and it would not be.
pub(super) fn unused_root(root: &Path) -> SetupError {
    SetupError::new(format!(
        "tiers.truth.tls.root names {}, and the certificate of the database is checked with \
         tiers.truth.tls.mode `verify-full` or `verify-ca` alone: set one of them, or leave the \
         root out",
        root.display()
    ))
}

/// Why the encryption is to blame for a connection that did not come about, unless it is not.
pub(super) fn blame(error: &sqlx::Error, host: &str, root: Option<&Path>) -> Option<String> {
    match error {
        sqlx::Error::Tls(cause) if cause.to_string() == NOT_OFFERED => Some(
            "it offers no encryption, which tiers.truth.tls.mode or `sslmode` in the address \
             demands; set ssl = on in its postgresql.conf"
                .into(),
        ),
        sqlx::Error::Tls(_) => Some("see tiers.truth.tls".into()),
        sqlx::Error::Io(cause) => match cause.get_ref()?.downcast_ref()? {
            rustls::Error::InvalidCertificate(wrong) => Some(wrong_with(wrong, host, root)),
            _ => Some("encrypting the connection fails".into()),
        },
        _ => None,
    }
}

fn wrong_with(wrong: &CertificateError, host: &str, root: Option<&Path>) -> String {
    use CertificateError::{
        Expired, ExpiredContext, NotValidForName, NotValidForNameContext, NotValidYet,
        NotValidYetContext, UnknownIssuer,
    };
    match wrong {
        UnknownIssuer => {
            let trusted = match root {
                Some(root) => format!("in {} or of the system", root.display()),
                None => "of the system".into(),
            };
            format!(
                "none of the certificates {trusted} has signed its own; tiers.truth.tls.root must \
                 name a file with the certificate of the authority that did"
            )
        }
        NotValidForName | NotValidForNameContext { .. } => format!(
            "its certificate is not made out to `{host}`; use a name in the address \
             (DATABASE_URL) that it is made out to, or let tiers.truth.tls.mode be verify-ca, \
             which accepts every name"
        ),
        Expired | ExpiredContext { .. } => "its certificate has expired".into(),
        NotValidYet | NotValidYetContext { .. } => {
            "its certificate is not valid yet; see whether the clocks are right".into()
        }
        _ => "its certificate is not accepted; see tiers.truth.tls".into(),
    }
}

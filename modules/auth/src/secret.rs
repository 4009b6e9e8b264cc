//! The secrets that tokens are signed with: from the settings, or made once and kept in the data
//! folder.

use std::{
    fs::File,
    io::{ErrorKind, Read, Write},
    path::Path,
};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use nubo_core::{clock::Random, module::SetupError};

use crate::settings::{Secret, Settings};

/// Fewest bytes of a secret: as many as HMAC-SHA256 gives back (RFC 7518 §3.2).
const MIN_BYTES: usize = 32;
/// Fewest different bytes of a secret. Of 32 random hexadecimal digits nearly all have more than 9.
const MIN_DIFFERENT: usize = 8;
/// More would be another kind of file.
const MAX_BYTES: u64 = 4096;

/// The secrets of the settings, the one in force first where there is one.
pub(crate) struct Configured {
    pub current: Option<Secret>,
    pub previous: Vec<Secret>,
}

/// Takes the secrets out of the settings; an error where one can be guessed.
pub(crate) fn configured(settings: &Settings) -> Result<Configured, SetupError> {
    let check = |setting: &str, secret: &Secret| match secret.0.len() < MIN_BYTES {
        false if different_bytes(&secret.0) < MIN_DIFFERENT => Err(SetupError::new(format!(
            "auth.{setting}: the secret repeats a few letters, which can be guessed; make one, \
             for example with `openssl rand -base64 32`"
        ))),
        true => Err(SetupError::new(format!(
            "auth.{setting}: the secret has {} bytes; it needs at least {MIN_BYTES}, for example \
             from `openssl rand -base64 32`",
            secret.0.len()
        ))),
        false => Ok(()),
    };
    if let Some(secret) = &settings.jwt_secret {
        check("jwt_secret", secret)?;
    }
    for secret in &settings.previous_secrets {
        check("previous_secrets", secret)?;
    }
    Ok(Configured {
        current: settings.jwt_secret.clone(),
        previous: settings.previous_secrets.clone(),
    })
}

fn different_bytes(secret: &(impl AsRef<[u8]> + ?Sized)) -> usize {
    let mut bytes = secret.as_ref().to_vec();
    bytes.sort_unstable();
    bytes.dedup();
    bytes.len()
}

/// Reads the secret of a file; makes one where there is no file.
pub(crate) fn kept(path: &Path, random: &dyn Random) -> Result<Secret, SetupError> {
    match read(path)? {
        Some(secret) => Ok(secret),
        None => {
            make(path, random)?;
            // Somebody may have been faster; what counts is what is there.
            read(path)?.ok_or_else(|| SetupError::new(format!("{} is gone", path.display())))
        }
    }
}

fn read(path: &Path) -> Result<Option<Secret>, SetupError> {
    let shown = path.display();
    let failed = |error| SetupError::caused(format!("{shown} cannot be read"), error);
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed(error)),
    };
    if is_open_to_others(&file).map_err(failed)? {
        return Err(SetupError::new(format!(
            "{shown} holds the secret that tokens are signed with, and others than its owner may \
             read or write it: `chmod 600 {shown}` once you know that nobody has"
        )));
    }
    let mut text = String::new();
    file.take(MAX_BYTES)
        .read_to_string(&mut text)
        .map_err(failed)?;
    let text = text.trim();
    if text.len() < MIN_BYTES {
        return Err(SetupError::new(format!(
            "{shown} has {} bytes; a secret needs at least {MIN_BYTES}. Without the file, a new \
             one is made and everybody has to sign in again",
            text.len()
        )));
    }
    Ok(Some(Secret(text.to_owned())))
}

#[cfg(unix)]
fn is_open_to_others(file: &File) -> std::io::Result<bool> {
    use std::os::unix::fs::MetadataExt;
    Ok(file.metadata()?.mode() & 0o077 != 0)
}

#[cfg(not(unix))]
fn is_open_to_others(_: &File) -> std::io::Result<bool> {
    Ok(false)
}

/// Writes a new secret beside the place and moves it there, so that nobody ever finds half of one.
/// A file that has come into being in the meantime stays.
fn make(path: &Path, random: &dyn Random) -> Result<(), SetupError> {
    let mut secret = [0; MIN_BYTES];
    random.fill(&mut secret);
    let write = || -> std::io::Result<()> {
        let folder = path.parent().unwrap_or(Path::new("."));
        // Only its owner may read or write a temporary file.
        let mut file = tempfile::NamedTempFile::new_in(folder)?;
        writeln!(file, "{}", URL_SAFE_NO_PAD.encode(secret))?;
        file.as_file().sync_all()?;
        match file.persist_noclobber(path) {
            Ok(_) => {}
            Err(error) if error.error.kind() == ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error.error),
        }
        sync_folder(folder)
    };
    write().map_err(|error| {
        let shown = path.display();
        SetupError::caused(format!("{shown} cannot be written"), error)
    })
}

#[cfg(unix)]
fn sync_folder(folder: &Path) -> std::io::Result<()> {
    File::open(folder)?.sync_all()
}

#[cfg(not(unix))]
fn sync_folder(_: &Path) -> std::io::Result<()> {
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake::Dice;

    #[test]
    fn a_secret_is_made_once() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("jwt_secret");
        let dice = Dice::default();
        let first = kept(&path, &dice).unwrap();
        assert_eq!(first.0.len(), 43);
        assert!(kept(&path, &dice).unwrap() == first);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[cfg(unix)]
    #[test]
    fn a_secret_that_others_may_read_is_refused() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("jwt_secret");
        kept(&path, &Dice::default()).unwrap();
        let mode = std::fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o640)).unwrap();
        let error = kept(&path, &Dice::default()).unwrap_err().to_string();
        assert!(error.contains("chmod 600"), "{error}");
    }

    #[test]
    fn a_secret_that_can_be_guessed_is_refused() {
        let settings = |text: &str| Settings {
            jwt_secret: Some(Secret(text.into())),
            ..Settings::default()
        };
        assert!(configured(&settings("0123456789abcdef0123456789abcdef")).is_ok());
        let error = configured(&settings(&"xyz".repeat(20))).err().unwrap();
        assert!(error.to_string().contains("repeats"), "{error}");
        let error = configured(&settings("changeme")).err().unwrap().to_string();
        assert!(
            error.contains("auth.jwt_secret") && !error.contains("changeme"),
            "{error}"
        );

        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("jwt_secret");
        let mut file = tempfile::NamedTempFile::new_in(folder.path()).unwrap();
        writeln!(file, "short").unwrap();
        file.persist(&path).unwrap();
        let error = kept(&path, &Dice::default()).unwrap_err().to_string();
        assert!(error.contains("5 bytes"), "{error}");
    }
}

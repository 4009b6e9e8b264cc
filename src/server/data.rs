//! The data folder: made where it is missing, and locked, because the embedded store belongs to one
//! process.

use std::{
    fs::{self, File, OpenOptions, TryLockError},
    io,
    path::Path,
};

use nubo_core::module::SetupError;

/// Makes the folder and makes sure that it can be written.
///
/// What is in it is for the server alone: it holds what people keep private, and the hashes of their
/// passwords. A folder that is there already stays as open as its owner has made it, but the files
/// in it do not.
pub(super) fn prepare(folder: &Path, database: Option<&Path>) -> Result<(), SetupError> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder).map_err(|error| {
        SetupError::caused(
            format!("the data folder {} cannot be created", folder.display()),
            error,
        )
    })?;
    let Some(database) = database else {
        return Ok(());
    };
    // SQLite gives its other files the mode of this one.
    private(database).map_err(|error| {
        SetupError::caused(
            format!("the data folder {} cannot be written", folder.display()),
            error,
        )
    })
}

/// Makes a file that only the user of the server can read, or makes it so.
fn private(path: &Path) -> io::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(false);
    #[cfg(unix)]
    {
        use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
        let file = options.mode(0o600).open(path)?;
        if file.metadata()?.permissions().mode() & 0o077 != 0 {
            file.set_permissions(fs::Permissions::from_mode(0o600))?;
        }
    }
    #[cfg(not(unix))]
    options.open(path)?;
    Ok(())
}

/// Keeps other servers out of the data folder as long as it lives.
pub struct Lock(#[allow(dead_code)] File);

impl Lock {
    /// Takes the lock, or says who else may have it.
    pub fn take(folder: &Path) -> Result<Self, SetupError> {
        let path = folder.join("nubo.lock");
        let file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .map_err(|error| {
                SetupError::caused(
                    format!("the data folder {} cannot be written", folder.display()),
                    error,
                )
            })?;
        match file.try_lock() {
            Ok(()) => Ok(Self(file)),
            Err(TryLockError::WouldBlock) => Err(SetupError::new(format!(
                "another Nubo is using the data folder {}; stop it, or choose another folder with \
                 --data or NUBO_DATA",
                folder.display()
            ))),
            Err(TryLockError::Error(error)) => Err(SetupError::caused(
                format!("the data folder {} cannot be locked", folder.display()),
                error,
            )),
        }
    }
}

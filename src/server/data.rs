//! The data folder: made where it is missing, and locked, because the embedded store belongs to one
//! process.

use std::{
    fs::{self, File, OpenOptions, TryLockError},
    path::Path,
};

use nubo_core::module::SetupError;

/// Makes the folder and makes sure that it can be written.
pub(super) fn prepare(folder: &Path) -> Result<(), SetupError> {
    fs::create_dir_all(folder).map_err(|error| {
        SetupError::caused(
            format!("the data folder {} cannot be created", folder.display()),
            error,
        )
    })
}

/// Keeps other servers out of the data folder as long as it lives.
pub(super) struct Lock(#[allow(dead_code)] File);

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

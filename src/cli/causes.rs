//! Errors with what caused them: whoever works on the command line may see what a client must not.

use std::error::Error;

/// An error and its causes, on one line.
pub(super) fn with_causes(error: &dyn Error) -> String {
    let causes = std::iter::successors(error.source(), |&cause| cause.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}

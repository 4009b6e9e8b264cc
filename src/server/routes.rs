//! One tree of routes from what the modules contribute.

use nubo_core::module::{Contribution, SetupError};
use poem::Route;

/// Puts every route under the base path. Modules know nothing of it: it is gone from what they see
/// of a request, but for the URI that the client wrote.
///
/// # Errors
/// When two modules claim the same path.
pub(super) fn tree(contributions: Vec<Contribution>, base_path: &str) -> Result<Route, SetupError> {
    let routes = contributions.into_iter().flat_map(|c| c.routes);
    let mut tree = Route::new();
    for route in routes {
        let path = route.path;
        tree = tree
            .try_at(&path, route.endpoint)
            .map_err(|error| SetupError::caused(format!("the route {path}"), error))?;
    }
    if base_path.is_empty() {
        return Ok(tree);
    }
    Route::new()
        .try_nest(base_path, tree)
        .map_err(|error| SetupError::caused(format!("the base path {base_path}"), error))
}

//! What modules read of a request, the same way everywhere: its [body], its [query
//! parameters](parameters) and its [conditions]. Each file says what is refused and how.

pub mod body;
pub mod conditions;
pub mod json;
pub mod parameters;

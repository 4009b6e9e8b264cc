//! What people can do, from outside: one file for each kind of thing.

mod command_line;
mod deletion;
mod document;
mod instances;
mod login;
mod me;
mod refresh;
mod revocation;
mod set_up;
mod signup;
mod test_token;

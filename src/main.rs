//! The server as it ships. What it can do is in the library; a server with more modules has a
//! `main` like this one.

use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    nubo::Nubo::new().run()
}

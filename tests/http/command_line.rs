//! The commands of the binary, run to their end.

use std::{
    io::Write,
    process::{Output, Stdio},
};

use crate::server::Site;

/// Runs a command with a text on its standard input.
pub fn pipe(site: &Site, arguments: &[&str], input: &str) -> Output {
    let mut child = site
        .command(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary runs");
    let mut stdin = child.stdin.take().expect("a pipe");
    // One that reads nothing closes the pipe.
    drop(stdin.write_all(input.as_bytes()));
    drop(stdin);
    child.wait_with_output().expect("an end")
}

/// What a command printed that must have succeeded.
#[track_caller]
pub fn done(output: &Output) -> String {
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Makes an admin called root, whom nobody signs in.
#[track_caller]
#[allow(
    dead_code,
    reason = "not all of the test programs that share this file have an admin"
)]
pub fn make_root(site: &Site, password: &str) {
    let arguments = [
        "users",
        "create",
        "username=root",
        "email=root@example.org",
        "first_name=R",
        "last_name=T",
        "--role",
        "admin",
        "--password-stdin",
    ];
    done(&pipe(site, &arguments, password));
}

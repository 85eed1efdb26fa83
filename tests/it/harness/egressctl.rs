//! `egressctl`, as somebody at a terminal runs it.

use std::process::Output;

use super::namespace::host_command;

/// The program.
pub const PROGRAM: &str = env!("CARGO_BIN_EXE_egressctl");

/// Runs it with these arguments.
pub fn egressctl(arguments: &[&str]) -> Output {
    host_command(PROGRAM).args(arguments).output().expect("run egressctl")
}

/// Runs it, wants this exit code, and gives all that it said.
#[track_caller]
pub fn says(arguments: &[&str], code: i32) -> String {
    let output = egressctl(arguments);
    let said = [output.stdout.as_slice(), output.stderr.as_slice()].concat();
    let said = String::from_utf8(said).expect("egressctl speaks UTF-8");
    assert_eq!(output.status.code(), Some(code), "egressctl {}:\n{said}", arguments.join(" "));
    said
}

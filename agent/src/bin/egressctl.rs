//! The client.

use std::process::ExitCode;

fn main() -> ExitCode {
    egress_agent::ctl::main()
}

//! The data plane against Debian's `wireguard-go`, between namespaces. Needs root.
//!
//! The binary is also the data plane: started with [`control::DATA_PLANE`] it serves the socket on
//! its standard input. Everything happens in namespaces made here, before there are threads.

#![allow(clippy::unwrap_used, reason = "a test that fails says so by panicking")]
#![allow(clippy::print_stdout, reason = "what is measured is shown")]

/// Test functions by their names, each with offloads and without.
macro_rules! tests {
    ($($test:ident),* $(,)?) => {
        vec![$($crate::trial(stringify!($test), $test)),*].into_iter().flatten().collect()
    };
}

mod carrying;
mod control;
mod far_end;
mod lab;
mod moving;
mod process;
mod scene;
mod sharing;
mod traffic;

use std::process::ExitCode;

use egress_linux::tun::Offload;
use libtest_mimic::{Arguments, Trial};

fn trial(name: &str, test: fn()) -> [Trial; 2] {
    [("plain", Offload::Off), ("offloaded", Offload::VnetHeader { segments: 32 })].map(
        |(mode, offload)| {
            Trial::test(format!("{mode}::{name}"), move || {
                lab::set_offload(offload);
                test();
                Ok(())
            })
        },
    )
}

fn main() -> ExitCode {
    match std::env::args().nth(1).as_deref() {
        Some(control::DATA_PLANE) => control::be_the_data_plane(),
        Some(process::STRANGER) => process::be_a_stranger(),
        Some(_) | None => {
            lab::enter_a_host_of_our_own();
            let tests = [carrying::tests(), moving::tests(), process::tests(), sharing::tests()];
            let tests = tests.into_iter().flatten().collect();
            libtest_mimic::run(&Arguments::from_args(), tests).exit_code()
        }
    }
}

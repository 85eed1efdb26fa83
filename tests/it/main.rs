//! The real daemon against real far ends, each test on a host of its own.
#![allow(clippy::unwrap_used, reason = "what a test cannot go on without fails it")]

mod attach;
mod broken_configs;
mod broken_namespaces;
mod broken_requests;
mod command_line;
mod crowd_survival;
mod crowds;
mod detector;
mod doors;
mod elsewhere;
mod endings;
mod far_end;
mod greedy_callers;
mod hangs;
mod harness;
mod histories;
mod keeping;
mod leaks;
mod limits;
mod made_up_requests;
mod openvpn;
mod openvpn_failures;
mod openvpn_process;
mod openvpn_refusals;
mod openvpn_survival;
mod processes;
mod push;
mod records;
mod reporting;
mod roaming;
mod secrets;
mod shutdown;
mod survival;
mod telling;
mod traffic;

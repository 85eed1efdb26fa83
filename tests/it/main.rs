//! The real daemon against real far ends, each test on a host of its own.

mod detector;
mod far_end;
#[allow(dead_code)]
mod harness;

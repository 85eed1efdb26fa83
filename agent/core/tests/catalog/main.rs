//! The catalog: who is offered what, what an apply document says, what is refused.
#![allow(clippy::unwrap_used, reason = "a helper that cannot help fails its test")]

mod apply;
mod change;
mod lab;
mod large;
mod menu;
mod mistakes;
mod model;
mod openvpn;
mod push;
mod records;
mod rows;
mod sharing;
mod steps;

//! openvpn's management interface: what it says, and what it is told.
//!
//! Measured with openvpn 2.6.14, management version 5. Nothing here waits or reads: a [`Parser`] is
//! fed with bytes as they come, [`encode`] gives bytes to be sent.

mod answer;
mod command;
mod lines;
mod message;
mod notification;
mod parser;

pub use answer::{dynamic_answer, static_answer};
pub use command::{Command, RemoteAnswer, Signal, encode};
pub use lines::LINE_MAX;
pub use message::{
    Challenge, DynamicChallenge, Entry, Environment, InfoMessage, Message, Need, Rejection, State,
    StateName, Wanted,
};
pub use parser::{ENVIRONMENT_MAX, Parser};

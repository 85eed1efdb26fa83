//! OpenVPN: what is taken of `.ovpn` texts, what is refused and where, what openvpn is given in
//! their place, and what it says.
#![allow(clippy::unwrap_used, reason = "a helper that cannot help fails its test")]
#![allow(clippy::wildcard_enum_match_arm, reason = "a test looks at one kind of message")]

mod commands;
mod dialogues;
mod hostile;
mod machine;
mod machine_walks;
mod management;
mod openvpn;
mod pieces;
mod profiles;
mod properties;
mod rewriting;
mod templates;

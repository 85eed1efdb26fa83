//! The agent's API: HTTP and JSON over a unix socket, and over TCP with TLS.
//!
//! [`server`] answers for an [`agent::Agent`], at the doors [`unix`] and [`tls`]; [`client`] is the
//! other end. Who may call what is
//! decided in [`roles`], what happened is told through [`events`].

pub mod agent;
mod body;
mod budget;
pub mod caller;
pub mod calls;
pub mod client;
mod document;
pub mod endpoint;
pub mod events;
mod extract;
mod handlers;
mod held_reply;
mod large_body;
mod leftover;
mod lists;
mod page;
mod places;
mod problem;
mod push;
mod queries;
mod reclaim;
mod records;
mod refusals;
pub mod roles;
mod routes;
pub mod server;
mod shared;
mod store;
mod stream;
pub mod tls;
pub mod unix;

#[cfg(test)]
mod tests;

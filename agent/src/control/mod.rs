//! The agent's API: HTTP and JSON over a unix socket.
//!
//! [`server`] answers for an [`agent::Agent`]; [`client`] is the other end. Who may call what is
//! decided in [`roles`], what happened is told through [`events`].

pub mod agent;
pub mod calls;
pub mod client;
mod document;
pub mod events;
mod extract;
mod handlers;
mod problem;
mod queries;
pub mod roles;
mod routes;
pub mod server;
mod shared;
mod stream;

#[cfg(test)]
mod tests;

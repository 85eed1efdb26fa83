//! The unprivileged packet process: every WireGuard tunnel's packets, on a few threads.
//!
//! Control ([`protocol`]'s other end) creates devices and sockets and hands over file descriptors
//! and keys; this process can do nothing but move packets between them. It lives on when control
//! dies, and control finds it again by its socket.

pub mod protocol;

//! A host, a world around it and an agent on it, for one test at a time.

pub mod agent;
#[path = "../../../agent/src/control/tests/authority.rs"]
pub mod authority;
pub mod container;
pub mod dns;
pub mod elsewhere;
pub mod http;
pub mod internet;
pub mod keys;
pub mod lab;
pub mod namespace;
pub mod openvpn_client;
pub mod openvpn_pki;
pub mod openvpn_server;
pub mod openvpn_world;
pub mod probe;
pub mod process;
pub mod push;
pub mod resolver;
pub mod scene;
pub mod sniffer;
pub mod traffic;
pub mod verdict;
pub mod wait;
pub mod wireguard_peer;
pub mod world;

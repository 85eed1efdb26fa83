//! Tunnels: what brings a container's packets to a gateway.

pub mod dataplane;
pub mod device;
pub mod openvpn;
pub mod own_addresses;
pub mod resolve;
pub mod wireguard;

//! A gateway's config and a credential, merged: all that a tunnel is made of.

use std::fmt;
use std::net::IpAddr;

use ipnet::IpNet;

use super::conflict::{ConflictKey, conflict_keys};
use super::fields::MTU_MIN_V6;
use super::gateway::{GatewayConfig, Peer};
use super::key;
use crate::catalog::model::{Credential, CredentialSecret, KeySharing, WireguardOverrides};
use crate::fault::{Faults, Finding};
use crate::secret::Secret;

/// All that a WireGuard tunnel is made of. Only a credential makes one.
///
/// It holds keys: `Debug` shows none, and they are wiped on drop.
#[derive(Clone, PartialEq, Eq)]
pub struct Profile {
    private_key: Secret<[u8; 32]>,
    public_key: [u8; 32],
    config: GatewayConfig,
}

impl Profile {
    /// Merges. The credential's Address, DNS, MTU and `PresharedKey` replace the gateway's; its
    /// private key is the only one that counts.
    pub fn merge(gateway: &GatewayConfig, credential: &Credential) -> Result<Self, Faults> {
        let CredentialSecret::PrivateKey(private_key) = &credential.secret else {
            return Err(Faults(vec![not_a_wireguard_credential(credential)]));
        };
        let public_key = key::public_of(private_key);
        let config = overridden(gateway, &credential.overrides);
        let faults = faults_of(&config, &public_key);
        if !faults.is_empty() {
            return Err(Faults(faults));
        }
        Ok(Self { private_key: private_key.clone(), public_key, config })
    }

    /// The interface's private key.
    pub fn private_key(&self) -> &Secret<[u8; 32]> {
        &self.private_key
    }

    /// The public key that peers know this tunnel by.
    pub fn public_key(&self) -> [u8; 32] {
        self.public_key
    }

    /// The device's addresses with their prefix lengths; at least one.
    pub fn addresses(&self) -> &[IpNet] {
        &self.config.addresses
    }

    /// Resolvers to be asked through the tunnel.
    pub fn dns(&self) -> &[IpAddr] {
        &self.config.dns
    }

    /// Search domains.
    pub fn search(&self) -> &[String] {
        &self.config.search
    }

    /// The device's MTU in bytes, where gateway or credential set it.
    pub fn mtu(&self) -> Option<u16> {
        self.config.mtu
    }

    /// The far ends; at least one.
    pub fn peers(&self) -> &[Peer] {
        &self.config.peers
    }

    /// What no other live session may hold.
    pub fn conflict_keys(&self, sharing: KeySharing) -> Vec<ConflictKey> {
        conflict_keys(&self.public_key, &self.config, sharing).collect()
    }
}

impl fmt::Debug for Profile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Profile")
            .field("public_key", &key::encode_public(&self.public_key))
            .field("config", &self.config)
            .finish_non_exhaustive()
    }
}

fn overridden(gateway: &GatewayConfig, overrides: &WireguardOverrides) -> GatewayConfig {
    let mut config = GatewayConfig { private_key: None, ..gateway.clone() };
    if !overrides.addresses.is_empty() {
        config.addresses.clone_from(&overrides.addresses);
    }
    if !overrides.dns.is_empty() {
        config.dns.clone_from(&overrides.dns);
    }
    config.mtu = overrides.mtu.or(config.mtu);
    for peer in &mut config.peers {
        if overrides.preshared_key.is_some() {
            peer.preshared_key.clone_from(&overrides.preshared_key);
        }
    }
    config
}

fn faults_of(config: &GatewayConfig, public_key: &[u8; 32]) -> Vec<Finding> {
    let mut faults = Vec::new();
    if config.addresses.is_empty() {
        let message = "neither the gateway's config nor the credential has an Address";
        faults.push(Finding::fault(message).about("Interface.Address"));
    }
    let v6 = config.addresses.iter().any(|address| address.addr().is_ipv6());
    if v6 && config.mtu.is_some_and(|mtu| mtu < MTU_MIN_V6) {
        let message = format!("IPv6 needs at least {MTU_MIN_V6}");
        faults.push(Finding::fault(message).about("Interface.MTU"));
    }
    if config.peers.iter().any(|peer| peer.public_key == *public_key) {
        let message = "the credential's own key: a peer has another";
        faults.push(Finding::fault(message).about("Peer.PublicKey"));
    }
    faults
}

fn not_a_wireguard_credential(credential: &Credential) -> Finding {
    let message = format!("credential {} holds no WireGuard private key", credential.name);
    Finding::fault(message).about("Interface.PrivateKey")
}

//! All that a tunnel is made of, whichever protocol it speaks.

use crate::catalog::Catalog;
use crate::fault::{Faults, Finding};
use crate::id::{CredentialId, GatewayId};
use crate::{openvpn, wireguard};

/// A gateway and a credential, merged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Profile {
    /// Keys, peers and addresses.
    Wireguard(wireguard::Profile),
    /// A config and a login; the server gives the addresses.
    Openvpn(openvpn::Profile),
}

impl Profile {
    /// Merges what the catalog has under these ids.
    pub fn merge(
        catalog: &Catalog,
        gateway: GatewayId,
        credential: CredentialId,
    ) -> Result<Self, Faults> {
        let Some(credential) = catalog.credential(credential) else {
            return Err(absent("the credential is no longer in the catalog"));
        };
        if let Some(config) = catalog.wireguard(gateway) {
            return wireguard::Profile::merge(config, credential).map(Self::Wireguard);
        }
        if let Some(config) = catalog.openvpn(gateway) {
            let provider = catalog.provider(credential.provider_id);
            let split = provider.is_some_and(|provider| provider.split);
            return openvpn::Profile::merge(config, credential, split).map(Self::Openvpn);
        }
        Err(absent("the gateway is no longer in the catalog"))
    }
}

fn absent(message: &str) -> Faults {
    Faults(vec![Finding::fault(message)])
}

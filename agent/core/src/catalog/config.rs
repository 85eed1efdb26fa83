//! A gateway's text as its tunnel understands it.

use crate::openvpn::OpenvpnConfig;
use crate::wireguard::GatewayConfig;

/// A gateway's parsed text, by its provider's kind.
#[derive(Debug)]
pub(super) enum Config {
    /// wg-quick text.
    Wireguard(GatewayConfig),
    /// `.ovpn` text.
    Openvpn(Box<OpenvpnConfig>),
    /// A custom driver's own, or of a provider that is not there.
    Opaque,
    /// It did not parse; the catalog is refused then.
    Faulty,
}

impl Config {
    pub fn wireguard(&self) -> Option<&GatewayConfig> {
        match self {
            Self::Wireguard(config) => Some(config),
            Self::Openvpn(_) | Self::Opaque | Self::Faulty => None,
        }
    }

    pub fn openvpn(&self) -> Option<&OpenvpnConfig> {
        match self {
            Self::Openvpn(config) => Some(config),
            Self::Wireguard(_) | Self::Opaque | Self::Faulty => None,
        }
    }
}

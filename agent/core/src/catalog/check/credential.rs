//! Whether a credential can do what it is for.

use super::{Check, RecordId, TEXT_MAX};
use crate::catalog::model::{
    Credential, CredentialSecret, GatewayScope, Provider, ProviderType, WireguardOverrides,
};
use crate::catalog::node::CredentialNode;
use crate::wireguard::config::{
    LIST_MAX, MTU_MIN, MTU_MIN_V6, dns_server_allowed, tunnel_address_allowed,
};

/// The most bytes a username or password may have.
const LOGIN_MAX: usize = 1024;

impl Check<'_> {
    pub(super) fn use_of(&mut self, credential: &Credential, provider: &Provider, at: &RecordId) {
        if !credential.secret.fits(provider.kind) {
            let message = format!(
                "provider {} needs {}: this credential is never used",
                provider.name,
                needed_by(provider.kind)
            );
            self.warning(at, "secret", message);
        }
        self.secret(&credential.secret, at);
        self.overrides(&credential.overrides, provider.kind, at);
        if provider.kind == ProviderType::Wireguard {
            self.has_address_everywhere(credential, at);
        }
    }

    /// Warns of all credentials with a secret but the first.
    pub(super) fn secret_is_new(&mut self, node: &CredentialNode, at: &RecordId) {
        let Some(identity) = node.identity() else { return };
        let same = self.catalog.index.identities.range(|(it, _)| it.cmp(&identity));
        let first = same.map(|((_, id), ())| *id).next().and_then(|id| self.catalog.credential(id));
        if let Some(first) = first.filter(|first| first.id != node.record.id) {
            let message = format!("the same as in credential {} ({})", first.name, first.id);
            self.warning(at, secret_field(&node.record.secret), message);
        }
    }

    fn secret(&mut self, secret: &CredentialSecret, at: &RecordId) {
        match secret {
            CredentialSecret::UserPassword { username, password } => {
                self.login(username, "username", at);
                self.login(password.expose(), "password", at);
            }
            CredentialSecret::PrivateKey(key) => {
                if *key.expose() == [0; 32] {
                    self.fault(at, "private_key", "all zero: not a key");
                }
            }
            CredentialSecret::Custom(text) => self.bounded(text.expose(), TEXT_MAX, "custom", at),
        }
    }

    fn login(&mut self, text: &str, field: &str, at: &RecordId) {
        self.bounded(text, LOGIN_MAX, field, at);
        // It goes into a line of OpenVPN's management protocol.
        if text.contains(['\n', '\r', '\0']) {
            self.fault(at, field, "holds a line break or a NUL");
        }
    }

    fn overrides(&mut self, overrides: &WireguardOverrides, kind: ProviderType, at: &RecordId) {
        if kind != ProviderType::Wireguard && *overrides != WireguardOverrides::default() {
            let message = "only WireGuard credentials have address, dns, mtu and preshared_key";
            self.fault(at, "address", message);
        }
        for address in &overrides.addresses {
            if let Err(why) = tunnel_address_allowed(*address) {
                self.fault(at, "address", why);
            }
        }
        for server in &overrides.dns {
            if let Err(why) = dns_server_allowed(*server) {
                self.fault(at, "dns", why);
            }
        }
        for (length, field) in
            [(overrides.addresses.len(), "address"), (overrides.dns.len(), "dns")]
        {
            if length > LIST_MAX {
                self.fault(at, field, format!("{length} entries: at most {LIST_MAX}"));
            }
        }
        self.mtu(overrides, at);
    }

    fn mtu(&mut self, overrides: &WireguardOverrides, at: &RecordId) {
        let v6 = overrides.addresses.iter().any(|address| address.addr().is_ipv6());
        let least = if v6 { MTU_MIN_V6 } else { MTU_MIN };
        if overrides.mtu.is_some_and(|mtu| mtu < least) {
            self.fault(at, "mtu", format!("expected a number from {least} to {}", u16::MAX));
        }
    }

    fn has_address_everywhere(&mut self, credential: &Credential, at: &RecordId) {
        if !credential.overrides.addresses.is_empty() {
            return;
        }
        let (without, provider) = (&self.catalog.index.without_address, credential.provider_id);
        let lacking = match &credential.gateways {
            GatewayScope::All => without.range(|(of, _)| of.cmp(&provider)).count(),
            GatewayScope::Selected(ids) => {
                ids.iter().filter(|id| without.get(&(provider, **id)).is_some()).count()
            }
        };
        if lacking > 0 {
            let message = format!(
                "missing, and {lacking} of the gateways have none either: it cannot open them"
            );
            self.warning(at, "address", message);
        }
    }
}

fn secret_field(secret: &CredentialSecret) -> &'static str {
    match secret {
        CredentialSecret::UserPassword { .. } => "username",
        CredentialSecret::PrivateKey(_) => "private_key",
        CredentialSecret::Custom(_) => "custom",
    }
}

fn needed_by(kind: ProviderType) -> &'static str {
    match kind {
        ProviderType::Openvpn => "a username and password",
        ProviderType::Wireguard => "a private key",
        ProviderType::Custom => "a custom credential",
    }
}

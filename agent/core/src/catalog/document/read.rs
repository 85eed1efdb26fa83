//! Each kind of entry, read field by field.

use std::net::IpAddr;
use std::num::NonZeroU32;

use ipnet::IpNet;

use super::fields::Fields;
use super::{CredentialEntry, GatewayEntry, MappingEntry, ProviderEntry, Scope, WorkspaceEntry};
use crate::catalog::model::{
    Egress, ExpectedExit, KeySharing, OnHooks, Owner, ProviderType, SelectionPolicy,
};

const PROVIDER_TYPES: [(&str, ProviderType); 3] = [
    ("wireguard", ProviderType::Wireguard),
    ("openvpn", ProviderType::Openvpn),
    ("custom", ProviderType::Custom),
];
const ON_HOOKS: [(&str, OnHooks); 2] = [("refuse", OnHooks::Refuse), ("drop", OnHooks::Drop)];
const KEY_SHARING: [(&str, KeySharing); 3] = [
    ("exclusive", KeySharing::Exclusive),
    ("per_endpoint", KeySharing::PerEndpoint),
    ("unlimited", KeySharing::Unlimited),
];
const SELECTION: [(&str, SelectionPolicy); 3] = [
    ("id", SelectionPolicy::Id),
    ("least-used", SelectionPolicy::LeastUsed),
    ("scope-first", SelectionPolicy::ScopeFirst),
];
const EGRESS: [(&str, Egress); 2] =
    [("required", Egress::Required), ("optional", Egress::Optional)];
/// The longest wait for a slot that an unclean end left behind: a day.
const RELEASE_DELAY_MAX_S: i64 = 86_400;

// What is missing or wrong leaves a fault and any value in its place: a document with a fault is
// not given out.

impl ProviderEntry {
    pub(super) fn read(fields: &mut Fields<'_>) -> Self {
        Self {
            id: fields.parsed("id", "a UUID"),
            name: fields.required_text("name"),
            kind: provider_type(fields),
            enabled: fields.flag("enabled", true),
            managed: fields.flag("managed", false),
            enable_new_managed_gateways: fields.flag("enable_new_managed_gateways", false),
            external_id: fields.text("external_id"),
            split: fields.flag("split", false),
            on_hooks: fields.choice_or_default("on_hooks", &ON_HOOKS),
            key_sharing: fields.choice_or_default("key_sharing", &KEY_SHARING),
            selection: fields.choice_or_default("selection", &SELECTION),
            release_delay_s: fields
                .defaulted("release_delay_s")
                .number("release_delay_s", 0, RELEASE_DELAY_MAX_S)
                .unwrap_or(0),
        }
    }
}

fn provider_type(fields: &mut Fields<'_>) -> ProviderType {
    if !fields.has("type") {
        fields.fault("type", "missing: wireguard, openvpn or custom");
    }
    fields.choice("type", &PROVIDER_TYPES).unwrap_or(ProviderType::Wireguard)
}

impl GatewayEntry {
    pub(super) fn read(fields: &mut Fields<'_>) -> Self {
        Self {
            id: fields.parsed("id", "a UUID"),
            provider: fields.reference("provider"),
            name: fields.required_text("name"),
            country: fields.text_or_empty("country"),
            city: fields.text_or_empty("city"),
            enabled: fields.flag("enabled", true),
            config: fields.required_hidden("config"),
            external_id: fields.text("external_id"),
            expected_exit: fields.table("expected_exit", expected_exit),
        }
    }
}

fn expected_exit(fields: &mut Fields<'_>) -> ExpectedExit {
    ExpectedExit {
        addresses: fields.list("addresses", network).unwrap_or_default(),
        country: fields.text("country"),
    }
}

impl MappingEntry {
    pub(super) fn read(fields: &mut Fields<'_>) -> Self {
        Self {
            id: fields.parsed("id", "a UUID"),
            provider: fields.reference("provider"),
            owner: owner(fields),
            gateways: scope(fields),
            enabled: fields.flag("enabled", true),
        }
    }
}

impl CredentialEntry {
    pub(super) fn read(fields: &mut Fields<'_>) -> Self {
        let entry = Self {
            id: fields.parsed("id", "a UUID"),
            provider: fields.reference("provider"),
            name: fields.required_text("name"),
            owner: owner(fields),
            private_key: fields.hidden("private_key"),
            username: fields.text("username"),
            password: fields.hidden("password"),
            custom: fields.hidden("custom"),
            gateways: scope(fields),
            active_connection_limit: limit(fields),
            account: fields.text("account"),
            external_id: fields.text("external_id"),
            address: fields.list("address", network).unwrap_or_default(),
            dns: fields.list("dns", resolver).unwrap_or_default(),
            mtu: fields.number("mtu", 0, i64::from(u16::MAX)),
            preshared_key: fields.hidden("preshared_key"),
            enabled: fields.flag("enabled", true),
        };
        entry.check_one_secret(fields);
        entry
    }

    pub(in crate::catalog) fn check_one_secret(&self, fields: &mut Fields<'_>) {
        let login = self.username.is_some() || self.password.is_some();
        let kinds = [self.private_key.is_some(), login, self.custom.is_some()];
        if kinds.into_iter().filter(|given| *given).count() > 1 {
            let message = "more than one kind of secret: give private_key, or username and \
                           password, or custom";
            fields.fault_here(message);
        }
    }
}

/// `active_connection_limit` alone is a limit; `limit_active_connections` may switch it off.
pub(in crate::catalog) fn limit(fields: &mut Fields<'_>) -> Option<NonZeroU32> {
    let switch = fields.optional_flag("limit_active_connections");
    if switch == Some(false) {
        fields.ignore("active_connection_limit");
        return None;
    }
    if switch == Some(true) && !fields.has("active_connection_limit") {
        let message = "missing: limit_active_connections is on, so expected a number from 1";
        fields.fault("active_connection_limit", message);
    }
    let limit: u32 = fields.number("active_connection_limit", 1, i64::from(u32::MAX))?;
    NonZeroU32::new(limit)
}

impl WorkspaceEntry {
    pub(super) fn read(fields: &mut Fields<'_>) -> Self {
        Self {
            name: fields.required_text("name"),
            egress: fields.choice_or_default("egress", &EGRESS),
            override_egress_gateways: fields.flag("override_egress_gateways", false),
        }
    }
}

pub(in crate::catalog) fn owner(fields: &mut Fields<'_>) -> Owner {
    let user = fields.text("user").map(Owner::User);
    let group = fields.text("group").map(Owner::Group);
    let workspace = fields.text("workspace").map(Owner::Workspace);
    let mut owners = [user, group, workspace].into_iter().flatten();
    match (owners.next(), owners.next()) {
        (Some(owner), None) => owner,
        (None, _) => {
            fields.fault_here("no owner: expected one of user, group and workspace");
            Owner::User(String::new())
        }
        (Some(owner), Some(_)) => {
            fields.fault_here("more than one owner: expected one of user, group and workspace");
            owner
        }
    }
}

pub(in crate::catalog) fn scope(fields: &mut Fields<'_>) -> Scope {
    let is_word = |word: &str| Ok::<_, String>(word.to_owned());
    if fields.is_text("gateways") {
        return fields.choice("gateways", &[("all", ())]).map_or(Scope::All, |()| Scope::All);
    }
    fields.list("gateways", is_word).map_or(Scope::All, Scope::Selected)
}

pub(in crate::catalog) fn network(text: &str) -> Result<IpNet, &'static str> {
    let alone = text.parse::<IpAddr>().map(IpNet::from);
    alone.or_else(|_| text.parse()).map_err(|_| "expected an address, or address/prefix length")
}

pub(in crate::catalog) fn resolver(text: &str) -> Result<IpAddr, &'static str> {
    text.parse().map_err(|_| "expected an IPv4 or IPv6 address")
}

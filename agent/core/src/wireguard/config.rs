//! A gateway's wg-quick text, checked as a whole.

use ipnet::IpNet;

pub use super::fields::{MTU_MIN, MTU_MIN_V6, dns_server_allowed, tunnel_address_allowed};
pub use super::gateway::{
    ALLOWED_IPS_MAX, GatewayConfig, LIST_MAX, PEERS_MAX, Peer, Rules, SIZE_MAX,
};
use super::interface::{self, Interface};
use super::peers::{self, PeerDraft};
use super::sections::{self, Placed, values};
use crate::fault::{Checked, Faults, Finding, Report, unless_faulty};

/// Reads a wg-quick text. Every fault is found at once, each with its line and its field
/// (`Interface.MTU`, `Peer.Endpoint`; of several peers the second is `Peer[1]`). No finding
/// repeats a value.
pub fn parse(text: &str, rules: &Rules) -> Checked<GatewayConfig> {
    if text.len() > SIZE_MAX {
        let message = format!("{} bytes: a config has at most {SIZE_MAX}", text.len());
        return Err(Faults(vec![Finding::fault(message)]));
    }
    let mut report = Report::default();
    let sections = sections::read(text, &mut report);
    let interface = interface::read(sections.interfaces, rules.on_hooks, &mut report);
    let peers = peers::read(sections.peers, &mut report);
    check_mtu(&interface, &peers, &mut report);
    check_default_route(&peers, rules.split, &mut report);
    check_resolvers(&interface, &peers, &mut report);
    unless_faulty(report.by_line(), || GatewayConfig {
        private_key: interface.private_key,
        addresses: values(interface.addresses),
        dns: values(interface.dns),
        search: values(interface.search),
        mtu: interface.mtu.map(|mtu| mtu.value),
        peers: peers.into_iter().filter_map(PeerDraft::into_peer).collect(),
    })
}

fn check_mtu(interface: &Interface, peers: &[PeerDraft], report: &mut Report) {
    let Some(Placed { line, value: mtu }) = interface.mtu else { return };
    let v6 = interface.addresses.iter().any(|address| is_v6(&address.value))
        || allowed_ips(peers).any(|net| is_v6(&net) && net.prefix_len() == 0);
    if v6 && mtu < MTU_MIN_V6 {
        let message = format!("IPv6 needs at least {MTU_MIN_V6}");
        report.push(Finding::fault(message).at_line(line).about("Interface.MTU"));
    }
}

fn is_v6(net: &IpNet) -> bool {
    matches!(net, IpNet::V6(_))
}

fn allowed_ips(peers: &[PeerDraft]) -> impl Iterator<Item = IpNet> {
    peers.iter().flat_map(|peer| &peer.allowed_ips).map(|net| net.value)
}

/// A config whose peers together leave out part of the internet is taken only where the provider
/// says that it is meant so.
fn check_default_route(peers: &[PeerDraft], split: bool, report: &mut Report) {
    let Some(first) = peers.iter().find_map(|peer| peer.allowed_ips.first()) else { return };
    let all = IpNet::aggregate(&allowed_ips(peers).collect());
    if split || all.iter().any(|net| net.prefix_len() == 0) {
        return;
    }
    let message = "no default route: 0.0.0.0/0 or ::/0 is missing. What is not listed would be \
                   blocked; set split = true on the provider if that is meant";
    report.push(Finding::fault(message).at_line(first.line).about("Peer.AllowedIPs"));
}

fn check_resolvers(interface: &Interface, peers: &[PeerDraft], report: &mut Report) {
    for Placed { line, value: server } in &interface.dns {
        if !allowed_ips(peers).any(|net| net.contains(server)) {
            let message = "no peer's AllowedIPs hold this resolver: it cannot be reached";
            report.push(Finding::warning(message).at_line(*line).about("Interface.DNS"));
        }
    }
}

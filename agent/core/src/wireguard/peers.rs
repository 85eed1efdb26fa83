//! `[Peer]`: the far ends.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::num::NonZeroU16;

use ipnet::IpNet;

use super::endpoint::{self, Endpoint};
use super::fields;
use super::gateway::{ALLOWED_IPS_MAX, PEERS_MAX, Peer};
use super::key;
use super::sections::{Key, Pair, PeerKey, Placed, Section, resolve, values};
use crate::fault::{Finding, Report};
use crate::secret::Secret;

/// What a `[Peer]` says, complete or not.
pub(super) struct PeerDraft {
    /// `Peer`, or `Peer[1]` where there are several.
    field: String,
    /// The line of its header.
    line: u32,
    public_key: Option<Placed<[u8; 32]>>,
    preshared_key: Option<Secret<[u8; 32]>>,
    endpoint: Option<Endpoint>,
    pub allowed_ips: Vec<Placed<IpNet>>,
    keepalive: Option<NonZeroU16>,
}

/// Reads all peers of a config.
pub(super) fn read(sections: Vec<Section<'_, &str>>, report: &mut Report) -> Vec<PeerDraft> {
    check_count(&sections, report);
    let several = sections.len() > 1;
    let peers: Vec<_> = sections
        .into_iter()
        .take(PEERS_MAX)
        .enumerate()
        .map(|(nth, section)| {
            let field = if several { format!("Peer[{nth}]") } else { "Peer".to_owned() };
            PeerDraft::read(section, field, report)
        })
        .collect();
    check_public_keys_differ(&peers, report);
    check_allowed_ips(&peers, report);
    peers
}

fn check_count(sections: &[Section<'_, &str>], report: &mut Report) {
    if sections.is_empty() {
        let message = "no [Peer]: a config has at least one";
        report.push(Finding::fault(message).about("Peer"));
    }
    if let Some(first_too_many) = sections.get(PEERS_MAX) {
        let message = format!("{} peers: at most {PEERS_MAX}", sections.len());
        report.push(Finding::fault(message).at_line(first_too_many.line).about("Peer"));
    }
}

fn check_public_keys_differ(peers: &[PeerDraft], report: &mut Report) {
    let mut seen = BTreeMap::new();
    for peer in peers {
        let Some(Placed { line, value: key }) = &peer.public_key else { continue };
        if let Some(first) = seen.insert(key, &peer.field) {
            let message = format!("{first} has the same key: two peers cannot");
            report.push(peer.about("PublicKey", Finding::fault(message)).at_line(*line));
        }
    }
}

fn check_allowed_ips(peers: &[PeerDraft], report: &mut Report) {
    let mut seen: BTreeMap<IpNet, &str> = BTreeMap::new();
    let mut total = 0;
    for (peer, Placed { line, value: net }) in
        peers.iter().flat_map(|peer| peer.allowed_ips.iter().map(move |net| (peer, net)))
    {
        total += 1;
        if total == ALLOWED_IPS_MAX + 1 {
            let message = format!("more than {ALLOWED_IPS_MAX} networks in all peers together");
            report.push(peer.about("AllowedIPs", Finding::fault(message)).at_line(*line));
        }
        if let Some(first) = seen.insert(*net, &peer.field).filter(|first| *first != peer.field) {
            let message = format!("{first} has a network of this list too: it belongs to one peer");
            report.push(peer.about("AllowedIPs", Finding::fault(message)).at_line(*line));
        }
    }
}

impl PeerDraft {
    fn read(section: Section<'_, &str>, field: String, report: &mut Report) -> Self {
        let section = resolve(section, &field, report);
        let mut peer = Self {
            field,
            line: section.line,
            public_key: None,
            preshared_key: None,
            endpoint: None,
            allowed_ips: Vec::new(),
            keepalive: None,
        };
        for pair in &section.pairs {
            peer.take(pair, report);
        }
        peer.check_nothing_missing(&section, report);
        peer
    }

    fn take(&mut self, pair: &Pair<'_, PeerKey>, report: &mut Report) {
        let line = pair.line;
        match pair.key {
            PeerKey::PublicKey => {
                let key = self.value(pair, key::public_key(pair.value), report);
                self.public_key = key.map(|value| Placed { line, value });
            }
            PeerKey::PresharedKey => {
                self.preshared_key = self.value(pair, key::secret_key(pair.value), report);
            }
            PeerKey::Endpoint => {
                self.endpoint = self.value(pair, endpoint::parse(pair.value), report);
            }
            PeerKey::AllowedIps => {
                for net in fields::list(pair.value, fields::allowed_ip) {
                    let net = self.value(pair, net, report);
                    self.allowed_ips.extend(net.map(|value| Placed { line, value }));
                }
            }
            PeerKey::PersistentKeepalive => {
                let seconds = self.value(pair, fields::keepalive(pair.value), report);
                self.keepalive = seconds.flatten();
            }
        }
    }

    fn value<T, E: Display>(
        &self,
        pair: &Pair<'_, PeerKey>,
        value: Result<T, E>,
        report: &mut Report,
    ) -> Option<T> {
        value
            .map_err(|why| {
                let fault = Finding::fault(why.to_string()).at_line(pair.line);
                report.push(self.about(pair.key.name(), fault));
            })
            .ok()
    }

    fn check_nothing_missing(&self, section: &Section<'_, PeerKey>, report: &mut Report) {
        let needed = [
            (PeerKey::PublicKey, "missing: a peer is known by its key"),
            (PeerKey::Endpoint, "missing: the agent calls the peer, not the peer the agent"),
            (PeerKey::AllowedIps, "missing: without it nothing is sent to the peer"),
        ];
        for (key, message) in needed {
            if !section.pairs.iter().any(|pair| pair.key == key) {
                let fault = Finding::fault(message).at_line(self.line);
                report.push(self.about(key.name(), fault));
            }
        }
    }

    fn about(&self, key: &str, finding: Finding) -> Finding {
        finding.about(format!("{}.{key}", self.field))
    }

    /// The peer, if it has all that a peer needs.
    pub fn into_peer(self) -> Option<Peer> {
        Some(Peer {
            public_key: self.public_key?.value,
            preshared_key: self.preshared_key,
            endpoint: self.endpoint?,
            allowed_ips: values(self.allowed_ips),
            keepalive: self.keepalive,
        })
    }
}

//! Sections and keys of a wg-quick text: which exist, which may repeat, which stand where.

use std::collections::BTreeSet;

use super::amnezia::Parameter;
use super::lexer::{self, Content};
use crate::fault::{Finding, Report};
use crate::suggest::did_you_mean;

/// A value and its line.
pub(super) struct Placed<T> {
    pub line: u32,
    pub value: T,
}

/// The values without their lines.
pub(super) fn values<T>(placed: Vec<Placed<T>>) -> Vec<T> {
    placed.into_iter().map(|placed| placed.value).collect()
}

/// `key = value` on a line.
pub(super) struct Pair<'a, K> {
    pub line: u32,
    pub key: K,
    pub value: &'a str,
}

/// A section: the line of its header and what follows, up to the next.
pub(super) struct Section<'a, K> {
    pub line: u32,
    pub pairs: Vec<Pair<'a, K>>,
}

/// The keys that a kind of section may have.
pub(super) trait Key: Copy + Ord + 'static {
    const SECTION: &'static str;
    const ALL: &'static [(&'static str, Self)];

    /// Whether more than one line may have it.
    fn repeats(self) -> bool;

    fn named(text: &str) -> Option<Self> {
        Self::ALL.iter().find(|(name, _)| name.eq_ignore_ascii_case(text)).map(|(_, key)| *key)
    }

    fn name(self) -> &'static str {
        Self::ALL.iter().find(|(_, key)| *key == self).map_or("", |(name, _)| name)
    }
}

/// Keys of `[Interface]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum InterfaceKey {
    PrivateKey,
    Address,
    Dns,
    Mtu,
    ListenPort,
    FwMark,
    Table,
    PreUp,
    PostUp,
    PreDown,
    PostDown,
    SaveConfig,
    Amnezia(Parameter),
}

impl Key for InterfaceKey {
    const SECTION: &'static str = "Interface";
    const ALL: &'static [(&'static str, Self)] = &[
        ("PrivateKey", Self::PrivateKey),
        ("Address", Self::Address),
        ("DNS", Self::Dns),
        ("MTU", Self::Mtu),
        ("ListenPort", Self::ListenPort),
        ("FwMark", Self::FwMark),
        ("Table", Self::Table),
        ("PreUp", Self::PreUp),
        ("PostUp", Self::PostUp),
        ("PreDown", Self::PreDown),
        ("PostDown", Self::PostDown),
        ("SaveConfig", Self::SaveConfig),
        ("Jc", Self::Amnezia(Parameter::JunkCount)),
        ("Jmin", Self::Amnezia(Parameter::JunkLeast)),
        ("Jmax", Self::Amnezia(Parameter::JunkMost)),
        ("S1", Self::Amnezia(Parameter::Padding(1))),
        ("S2", Self::Amnezia(Parameter::Padding(2))),
        ("S3", Self::Amnezia(Parameter::Padding(3))),
        ("S4", Self::Amnezia(Parameter::Padding(4))),
        ("H1", Self::Amnezia(Parameter::Header(1))),
        ("H2", Self::Amnezia(Parameter::Header(2))),
        ("H3", Self::Amnezia(Parameter::Header(3))),
        ("H4", Self::Amnezia(Parameter::Header(4))),
        ("I1", Self::Amnezia(Parameter::Decoy(1))),
        ("I2", Self::Amnezia(Parameter::Decoy(2))),
        ("I3", Self::Amnezia(Parameter::Decoy(3))),
        ("I4", Self::Amnezia(Parameter::Decoy(4))),
        ("I5", Self::Amnezia(Parameter::Decoy(5))),
    ];

    fn repeats(self) -> bool {
        match self {
            Self::Address
            | Self::Dns
            | Self::PreUp
            | Self::PostUp
            | Self::PreDown
            | Self::PostDown => true,
            Self::PrivateKey
            | Self::Mtu
            | Self::ListenPort
            | Self::FwMark
            | Self::Table
            | Self::SaveConfig
            | Self::Amnezia(_) => false,
        }
    }
}

/// Keys of `[Peer]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum PeerKey {
    PublicKey,
    PresharedKey,
    Endpoint,
    AllowedIps,
    PersistentKeepalive,
}

impl Key for PeerKey {
    const SECTION: &'static str = "Peer";
    const ALL: &'static [(&'static str, Self)] = &[
        ("PublicKey", Self::PublicKey),
        ("PresharedKey", Self::PresharedKey),
        ("Endpoint", Self::Endpoint),
        ("AllowedIPs", Self::AllowedIps),
        ("PersistentKeepalive", Self::PersistentKeepalive),
    ];

    fn repeats(self) -> bool {
        match self {
            Self::AllowedIps => true,
            Self::PublicKey | Self::PresharedKey | Self::Endpoint | Self::PersistentKeepalive => {
                false
            }
        }
    }
}

/// A text's sections before their keys have been looked at.
#[derive(Default)]
pub(super) struct Sections<'a> {
    pub interfaces: Vec<Section<'a, &'a str>>,
    pub peers: Vec<Section<'a, &'a str>>,
}

/// Sorts lines into sections; what belongs to none is a fault.
pub(super) fn read<'a>(text: &'a str, report: &mut Report) -> Sections<'a> {
    let mut sections = Sections::default();
    let mut current = Current::Before;
    for line in lexer::lines(text) {
        match line.content {
            Content::Blank => {}
            Content::Malformed(why) => report.push(Finding::fault(why).at_line(line.number)),
            Content::Section(name) => current = sections.open(name, line.number, report),
            Content::Pair { key, value } => {
                let pair = Pair { line: line.number, key, value };
                sections.put(&current, pair, report);
            }
        }
    }
    sections
}

enum Current {
    Before,
    Interface,
    Peer,
    /// An unknown section: its header was the fault, its lines are not looked at.
    Unknown,
}

impl<'a> Sections<'a> {
    fn open(&mut self, name: &str, line: u32, report: &mut Report) -> Current {
        let section = Section { line, pairs: Vec::new() };
        if name.eq_ignore_ascii_case(InterfaceKey::SECTION) {
            self.interfaces.push(section);
            return Current::Interface;
        }
        if name.eq_ignore_ascii_case(PeerKey::SECTION) {
            self.peers.push(section);
            return Current::Peer;
        }
        report.push_fault(|| {
            let hint = did_you_mean(name, [InterfaceKey::SECTION, PeerKey::SECTION]);
            let message = format!("unknown section: only [Interface] and [Peer] are known.{hint}");
            Finding::fault(message).at_line(line)
        });
        Current::Unknown
    }

    fn put(&mut self, current: &Current, pair: Pair<'a, &'a str>, report: &mut Report) {
        let section = match current {
            Current::Before => {
                let message = "this line stands before the first [Interface] or [Peer]";
                return report.push(Finding::fault(message).at_line(pair.line));
            }
            Current::Unknown => return,
            Current::Interface => self.interfaces.last_mut(),
            Current::Peer => self.peers.last_mut(),
        };
        section.expect("opened when it became the current one").pairs.push(pair);
    }
}

/// Looks up a section's keys; unknown ones and second values of single-valued ones are faults.
/// `field` names the section in findings.
pub(super) fn resolve<'a, K: Key>(
    section: Section<'a, &'a str>,
    field: &str,
    report: &mut Report,
) -> Section<'a, K> {
    let mut seen = BTreeSet::new();
    let mut pairs = Vec::new();
    for Pair { line, key: text, value } in section.pairs {
        match K::named(text) {
            None => report.push_fault(|| unknown_key::<K>(text, field).at_line(line)),
            Some(key) if !seen.insert(key) && !key.repeats() => report.push(
                Finding::fault("stands here twice: it can have one value only")
                    .at_line(line)
                    .about(format!("{field}.{}", key.name())),
            ),
            Some(key) => pairs.push(Pair { line, key, value }),
        }
    }
    Section { line: section.line, pairs }
}

fn unknown_key<K: Key>(text: &str, field: &str) -> Finding {
    if !may_be_repeated(text) {
        return Finding::fault("unknown key").about(field);
    }
    Finding::fault(unknown_key_message::<K>(text)).about(format!("{field}.{text}"))
}

fn unknown_key_message<K: Key>(text: &str) -> String {
    if InterfaceKey::named(text).is_some() {
        return "belongs into [Interface]".to_owned();
    }
    if PeerKey::named(text).is_some() {
        return "belongs into [Peer]".to_owned();
    }
    format!("unknown key.{}", did_you_mean(text, K::ALL.iter().map(|(name, _)| *name)))
}

/// Whether a text is a word rather than a secret that slipped to the left of a `=`: a key in
/// base64 is longer and has digits. A word with digits is a short one.
fn may_be_repeated(text: &str) -> bool {
    let most = if text.bytes().any(|b| b.is_ascii_digit()) { 8 } else { 24 };
    text.len() <= most
        && text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text.bytes().all(|b| b.is_ascii_alphanumeric())
}

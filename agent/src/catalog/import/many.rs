//! Many files of one provider as one document: one provider, one mapping, a gateway a file.

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroU32;

use egress_core::catalog::{CredentialEntry, Document, GatewayEntry, ProviderType, Scope};
use egress_core::fault::Finding;
use egress_core::openvpn::Login;
use serde::Serialize;

use super::existing::Existing;
use super::found::Found;
use super::place::{Place, place};
use super::wireguard::WireguardFile;
use super::{Import, ProviderFile, entries, no_login, openvpn, read};

/// The most characters of a gateway's name, as the catalog has it.
const NAME_MAX: usize = 200;

/// Files that are fit to be imported together, and those that are not.
pub struct Batch {
    kind: ProviderType,
    files: Vec<File>,
    /// What is left out, and why.
    pub refused: Vec<Refused>,
    /// Warnings and notes about the files that are taken.
    pub findings: Vec<Finding>,
}

struct File {
    /// As the caller named it.
    path: String,
    /// What its gateway is called.
    name: String,
    read: ProviderFile,
}

/// A file that is not imported.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Refused {
    /// As the caller named it.
    pub file: String,
    /// What is wrong with it.
    pub faults: Vec<Finding>,
}

/// What all files of a batch become.
pub struct Target<'a> {
    /// The provider's name.
    pub provider: &'a str,
    /// How many connections each credential may carry, where it is said.
    pub limit: Option<NonZeroU32>,
    /// Where all gateways are, where it is said.
    pub place: Place,
    /// Who may use them.
    pub import: &'a Import,
    /// What the agent has of the provider.
    pub existing: &'a Existing,
}

impl Batch {
    /// Reads the files. A provider is of one kind: that of `kind`, or of most files.
    pub fn read(found: Vec<Found>, import: &Import, kind: Option<ProviderType>) -> Self {
        let mut refused = Vec::new();
        let mut readings = Vec::new();
        for Found { source, name } in found {
            let path = source.name();
            match read(&*source, import.rules).outcome {
                Ok((read, found)) => readings.push((path, name, read, found)),
                Err(faults) => refused.push(Refused { file: path, faults: faults.alone() }),
            }
        }
        let kind = kind.unwrap_or_else(|| larger_kind(readings.iter().map(|it| it.2.kind())));
        let (mut files, mut findings) = (Vec::new(), Vec::new());
        let mut names = BTreeSet::new();
        for (path, name, read, found) in readings {
            let name = if read.kind() == kind {
                fit(name, &mut names)
            } else {
                Err("of another kind than the provider's other gateways".to_owned())
            };
            match name {
                Ok(name) => {
                    findings.extend(found);
                    files.push(File { path, name, read });
                }
                Err(why) => {
                    let faults = vec![Finding::fault(why).in_file(&path)];
                    refused.push(Refused { file: path, faults });
                }
            }
        }
        Self { kind, files, refused, findings }
    }

    /// How many files are taken.
    pub fn len(&self) -> usize {
        self.files.len()
    }

    /// Whether none is.
    pub fn is_empty(&self) -> bool {
        self.files.is_empty()
    }

    /// Whether any server wants a login.
    pub fn needs_login(&self) -> bool {
        self.files.iter().any(|file| file.read.needs_login())
    }

    /// The first login that stands in a file. That others differ is a finding.
    pub fn login(&mut self) -> Option<Login> {
        let mut first: Option<(String, Login)> = None;
        let mut others = 0;
        for File { path, read, .. } in &mut self.files {
            match (&first, read.login()) {
                (_, None) => {}
                (None, Some(login)) => first = Some((path.clone(), login)),
                (Some((_, first)), Some(login)) => others += usize::from(*first != login),
            }
        }
        let (path, login) = first?;
        if others > 0 {
            let message = format!(
                "the login of this file is used; {others} have another. --login says which is meant"
            );
            self.findings.push(Finding::warning(message).in_file(path));
        }
        Some(login)
    }

    /// The document. What the agent has of the provider stays as it is, but for what the files say.
    pub fn document(&self, target: &Target<'_>, login: Option<&Login>) -> Document {
        let Target { provider, import, existing, .. } = target;
        let mut document = Document::default();
        document.source = Some(format!("import {provider}"));
        if existing.provider().is_none() {
            document.providers.push(entries::provider(provider, self.kind, import.rules));
        }
        if !existing.is_mapped_to(&import.owner) {
            document.mappings.push(entries::mapping(provider, &import.owner));
        }
        let groups = self.groups();
        for (key, files) in &groups {
            document.gateways.extend(gateways(files, target));
            document.credentials.push(match key {
                None => {
                    let login = login.cloned().unwrap_or_else(no_login);
                    let entry = openvpn::credential(login, provider, provider, import);
                    existing.credential(entry, target.limit)
                }
                Some(key) => of_key(key, files, target),
            });
        }
        document.gateways.sort_by(|a, b| a.name.cmp(&b.name));
        document
    }

    /// Files that share a credential: all of OpenVPN, those of WireGuard with one key.
    fn groups(&self) -> BTreeMap<Option<String>, Vec<&File>> {
        let mut groups: BTreeMap<_, Vec<_>> = BTreeMap::new();
        for file in &self.files {
            let key = file.read.wireguard().and_then(WireguardFile::public_key);
            groups.entry(key).or_default().push(file);
        }
        groups
    }
}

/// The credential of a key: for the gateways of its files, and those that it opens already. What
/// its files do not agree on is left to the gateways.
fn of_key(key: &str, files: &[&File], target: &Target<'_>) -> CredentialEntry {
    // Named by the key, so that it is found again whatever files come with it the next time.
    let name: String = key.chars().filter(char::is_ascii_alphanumeric).take(8).collect();
    let name = format!("key-{name}");
    let each = files.iter().filter_map(|file| file.read.wireguard());
    let mut entries = each.map(|file| file.credential(target.provider, &name, target.import));
    let first = entries.next().expect("a group has a file");
    let mut entry = entries.fold(first, |mut entry, other| {
        if entry.address != other.address {
            entry.address.clear();
        }
        if entry.dns != other.dns {
            entry.dns.clear();
        }
        entry
    });
    if !shares_preshared_key(files) {
        entry.preshared_key = Some(entries::empty());
    }
    let gateways = files.iter().map(|file| file.name.clone());
    entry.gateways = Scope::Selected(gateways.collect());
    target.existing.credential(entry, target.limit)
}

/// Whether one preshared key goes with all of the files, so that it is the credential's.
fn shares_preshared_key(files: &[&File]) -> bool {
    let mut keys = files.iter().filter_map(|file| Some(file.read.wireguard()?.preshared_key()));
    let first = keys.next();
    keys.all(|key| Some(key) == first)
}

fn gateways(files: &[&File], target: &Target<'_>) -> Vec<GatewayEntry> {
    let keeps_keys = !shares_preshared_key(files);
    let gateways = files.iter().map(|file| {
        let text = file.read.gateway_text(keeps_keys);
        let mut gateway = entries::gateway(target.provider, &file.name, text);
        let Place { country, city } = place_of(&file.name);
        (gateway.country, gateway.city) = (country, city);
        target.existing.gateway(gateway, &target.place)
    });
    gateways.collect()
}

/// Where a gateway is, by its file's name or else that of a directory it lies in.
fn place_of(name: &str) -> Place {
    let mut parts = name.rsplit('/').map(place);
    parts.find(|place| !place.country.is_empty()).unwrap_or_default()
}

fn larger_kind(kinds: impl Iterator<Item = ProviderType>) -> ProviderType {
    let (wireguard, others): (Vec<_>, Vec<_>) =
        kinds.partition(|kind| *kind == ProviderType::Wireguard);
    if wireguard.len() > others.len() { ProviderType::Wireguard } else { ProviderType::Openvpn }
}

/// A name that the catalog takes, and that no other file has.
fn fit(name: Option<String>, names: &mut BTreeSet<String>) -> Result<String, String> {
    let name = name.ok_or("its name is not text: rename it")?;
    let name = name.trim().to_owned();
    if name.is_empty() || name.chars().count() > NAME_MAX || name.contains(char::is_control) {
        return Err(format!("its name is none for a gateway: 1 to {NAME_MAX} printable letters"));
    }
    if !names.insert(name.clone()) {
        return Err("another file gives a gateway of the same name".to_owned());
    }
    Ok(name)
}

//! A snapshot as it comes: read entry by entry, so that what is refused costs little.

use std::fmt;

use serde::de::{IgnoredAny, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::Value;
use serde_json::value::RawValue;

use super::{ENTRIES_MAX, PushedCredential, PushedGateway, Snapshot};
use crate::catalog::document::CredentialEntry;
use crate::catalog::document::fields::Fields;
use crate::catalog::document::read::{limit, network, owner, resolver, scope};
use crate::fault::{Checked, Faults, Finding, Report, unless_faulty};

/// The most bytes one entry may have: a config of the greatest length, whatever JSON makes of it.
const ENTRY_MAX: usize = 2 << 20;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Whole<'a> {
    #[serde(default)]
    version: Value,
    #[serde(borrow, default)]
    gateways: Option<Entries<'a>>,
    #[serde(borrow, default)]
    credentials: Option<Entries<'a>>,
}

impl Snapshot {
    /// Reads a JSON body. Every fault of every entry is found, with the entry's place and id.
    pub fn from_json(json: &[u8]) -> Checked<Self> {
        let whole: Whole<'_> = serde_json::from_slice(json).map_err(|error| not_this(&error))?;
        let mut found = Report::of_many();
        let version = version(&whole.version, &mut found);
        if whole.gateways.is_none() {
            found.push(Finding::fault("missing: every gateway there is").about("gateways"));
        }
        let gateways = whole.gateways.unwrap_or_default();
        let gateways = gateways.read("gateways", PushedGateway::read, &mut found);
        let credentials = whole
            .credentials
            .map(|credentials| credentials.read("credentials", PushedCredential::read, &mut found));
        unless_faulty(found.by_class(), || Self { version, gateways, credentials })
    }
}

fn not_this(error: &serde_json::Error) -> Faults {
    let line = u32::try_from(error.line()).unwrap_or(u32::MAX);
    Faults(vec![Finding::fault(error.to_string()).at_line(line)])
}

fn version(value: &Value, found: &mut Report) -> u64 {
    let number = value.as_i64().and_then(|number| u64::try_from(number).ok());
    number.filter(|number| *number > 0).unwrap_or_else(|| {
        let message = format!("expected a number from 1 to {}, larger than the last one", i64::MAX);
        found.push(Finding::fault(message).about("version"));
        0
    })
}

/// A list whose entries are not yet looked into.
#[derive(Default)]
struct Entries<'a> {
    /// The first [`ENTRIES_MAX`].
    kept: Vec<&'a RawValue>,
    total: usize,
}

impl Entries<'_> {
    fn read<T>(self, key: &str, read: impl Fn(&mut Fields<'_>) -> T, found: &mut Report) -> Vec<T> {
        if self.total > ENTRIES_MAX {
            let message = format!("{} entries: at most {ENTRIES_MAX}", self.total);
            found.push(Finding::fault(message).about(key));
            return Vec::new();
        }
        let mut entries = Vec::with_capacity(self.kept.len());
        for (nth, raw) in self.kept.into_iter().enumerate() {
            let path = format!("{key}[{nth}]");
            match value(raw) {
                Ok(value) => entries.extend(entry(value, path, &read, found)),
                Err(fault) => found.push(fault.about(path)),
            }
        }
        entries
    }
}

fn value(raw: &RawValue) -> Result<Value, Finding> {
    let length = raw.get().len();
    if length > ENTRY_MAX {
        return Err(Finding::fault(format!("{length} bytes: at most {ENTRY_MAX}")));
    }
    serde_json::from_str(raw.get()).map_err(|error| Finding::fault(error.to_string()))
}

/// An entry and what is wrong with it, told with its own id.
fn entry<T>(
    value: Value,
    path: String,
    read: impl Fn(&mut Fields<'_>) -> T,
    found: &mut Report,
) -> Option<T> {
    let external_id = value.get("external_id").and_then(Value::as_str).map(str::to_owned);
    let mut findings = Vec::new();
    let entry = Fields::of(value, path, false, &mut findings).map(|mut fields| {
        let entry = read(&mut fields);
        fields.finish();
        entry
    });
    for mut finding in findings {
        finding.set_external_id(external_id.as_deref());
        found.push(finding);
    }
    entry
}

impl<'de: 'a, 'a> Deserialize<'de> for Entries<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_seq(List)
    }
}

struct List;

impl<'de> Visitor<'de> for List {
    type Value = Entries<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Entries<'de>, A::Error> {
        let mut entries = Entries::default();
        while entries.kept.len() < ENTRIES_MAX {
            let Some(raw) = list.next_element()? else { break };
            entries.kept.push(raw);
        }
        entries.total = entries.kept.len();
        while list.next_element::<IgnoredAny>()?.is_some() {
            entries.total += 1;
        }
        Ok(entries)
    }
}

impl PushedGateway {
    fn read(fields: &mut Fields<'_>) -> Self {
        Self {
            external_id: fields.required_text("external_id"),
            name: fields.required_text("name"),
            country: fields.text_or_empty("country"),
            city: fields.text_or_empty("city"),
            config: fields.required_hidden("config"),
        }
    }
}

impl PushedCredential {
    fn read(fields: &mut Fields<'_>) -> Self {
        let credential = Self {
            external_id: fields.required_text("external_id"),
            name: fields.required_text("name"),
            owner: owner(fields),
            private_key: fields.hidden("private_key"),
            username: fields.text("username"),
            password: fields.hidden("password"),
            custom: fields.hidden("custom"),
            gateways: scope(fields),
            active_connection_limit: limit(fields),
            account: fields.text("account"),
            address: fields.list("address", network).unwrap_or_default(),
            dns: fields.list("dns", resolver).unwrap_or_default(),
            mtu: fields.number("mtu", 0, i64::from(u16::MAX)),
            preshared_key: fields.hidden("preshared_key"),
        };
        CredentialEntry::from(&credential).check_one_secret(fields);
        credential
    }
}

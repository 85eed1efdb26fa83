//! One record created, changed or removed, checked as an apply is.

use std::collections::BTreeSet;

use serde_json::{Map, Value};
use uuid::Uuid;

use super::document::{Document, Plan, patched};
use super::{Catalog, RecordId, RecordKind, removal};
use crate::fault::{Checked, Faults, Finding};

/// A change of one record.
#[derive(Debug, Clone)]
pub enum Change {
    /// Makes a record of these fields, which are those of an apply document's entry.
    Create {
        /// Of which kind.
        kind: RecordKind,
        /// Its fields.
        fields: Map<String, Value>,
    },
    /// Replaces these fields of a record; `null` gives one its default.
    Update {
        /// Which.
        record: RecordId,
        /// The fields that change.
        patch: Map<String, Value>,
        /// As it was when the caller looked.
        expected: Expected,
    },
    /// Takes a record away.
    Remove {
        /// Which.
        record: RecordId,
        /// Take what needs it away as well, and its id off the lists that have it.
        cascade: bool,
        /// As it was when the caller looked.
        expected: Expected,
    },
}

/// The versions of a record that a change is meant for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Expected {
    /// Whichever it has.
    Any,
    /// One of these.
    Versions(BTreeSet<u64>),
}

/// What a change makes of the catalog.
#[derive(Debug)]
pub struct Changed {
    /// The record that it was about.
    pub record: RecordId,
    /// That record and the others that it took along.
    pub named: BTreeSet<RecordId>,
    /// Everything there is afterwards, and what became of which record.
    pub plan: Plan,
    /// Warnings and notes.
    pub findings: Vec<Finding>,
}

impl Changed {
    fn alone(record: RecordId, plan: Plan, findings: Vec<Finding>) -> Self {
        Self { named: BTreeSet::from([record.clone()]), record, plan, findings }
    }
}

/// Why a change was not made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NotChanged {
    /// There is no such record.
    NoSuchRecord,
    /// A record of that id or name is there already.
    Exists(RecordId),
    /// The record has another version than the caller saw.
    OtherVersion(u64),
    /// Other records need it; each is a finding.
    Needed(Vec<Finding>),
    /// The record, or what it would make of others, is not sound.
    Faulty(Faults),
}

impl From<Faults> for NotChanged {
    fn from(faults: Faults) -> Self {
        Self::Faulty(faults)
    }
}

impl Change {
    /// Works out what this change does to a catalog.
    pub fn against(
        self,
        catalog: &Catalog,
        new_id: impl FnMut() -> Uuid,
    ) -> Result<Changed, NotChanged> {
        match self {
            Self::Create { kind, fields } => create(catalog, kind, fields, new_id),
            Self::Update { record, patch, expected } => {
                catalog.must_be(&record, &expected)?;
                let entry = patched(catalog, &record, patch).ok_or(NotChanged::NoSuchRecord)??;
                let (plan, findings) = plan(catalog, record.kind(), entry, new_id)?;
                Ok(Changed::alone(record, plan, findings))
            }
            Self::Remove { record, cascade, expected } => {
                catalog.must_be(&record, &expected)?;
                removal::without(catalog, record, cascade)
            }
        }
    }
}

fn create(
    catalog: &Catalog,
    kind: RecordKind,
    fields: Map<String, Value>,
    new_id: impl FnMut() -> Uuid,
) -> Result<Changed, NotChanged> {
    let (plan, findings) = plan(catalog, kind, Value::Object(fields), new_id)?;
    let Some(record) = plan.named.first().cloned() else {
        return Err(Faults(vec![Finding::fault("it names no record")]).into());
    };
    if plan.created.is_empty() {
        return Err(NotChanged::Exists(record));
    }
    Ok(Changed::alone(record, plan, findings))
}

/// What a document of this one entry does.
fn plan(
    catalog: &Catalog,
    kind: RecordKind,
    entry: Value,
    new_id: impl FnMut() -> Uuid,
) -> Checked<Plan> {
    let entries = Value::Array(vec![entry]);
    let document = Value::Object(Map::from_iter([(kind.as_str().to_owned(), entries)]));
    let alone = |Faults(found)| Faults(alone(found, kind));
    let (document, mut findings) = Document::from_value(document).map_err(alone)?;
    let (plan, found) = document.against(catalog, new_id).map_err(alone)?;
    findings.extend(found);
    Ok((plan, self::alone(findings, kind)))
}

/// Findings of a document's only entry, as those of the entry: `config` for `gateway[0].config`.
fn alone(findings: Vec<Finding>, kind: RecordKind) -> Vec<Finding> {
    let entry = format!("{}[0]", kind.as_str());
    let own = |mut finding: Finding| {
        finding.field = finding.field.and_then(|field| match field.strip_prefix(&entry) {
            None => Some(field),
            Some(rest) => rest.strip_prefix('.').map(str::to_owned),
        });
        finding
    };
    findings.into_iter().map(own).collect()
}

impl Catalog {
    fn must_be(&self, record: &RecordId, expected: &Expected) -> Result<(), NotChanged> {
        let version = self.version(record).ok_or(NotChanged::NoSuchRecord)?;
        match expected {
            Expected::Versions(versions) if !versions.contains(&version) => {
                Err(NotChanged::OtherVersion(version))
            }
            Expected::Versions(_) | Expected::Any => Ok(()),
        }
    }
}

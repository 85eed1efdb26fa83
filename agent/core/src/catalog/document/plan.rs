//! A document against the records there are: what would be there after it.

mod merge;
mod prune;
pub(in crate::catalog) mod record;
pub(in crate::catalog) mod secrets;

use std::collections::BTreeSet;

use uuid::Uuid;

use self::merge::{Merge, Outcome};
pub(in crate::catalog) use self::prune::labels;
use super::Document;
use crate::catalog::{Catalog, RecordId};
use crate::fault::{Checked, Faults, Finding, bounded};

/// What an apply does.
#[derive(Debug)]
pub struct Plan {
    /// Everything there is afterwards.
    pub catalog: Catalog,
    /// New records, as `kind name`.
    pub created: Vec<String>,
    /// Different records.
    pub updated: Vec<String>,
    /// Records that [`Plan::prune`] takes away.
    pub removed: Vec<String>,
    /// Records that were as asked already.
    pub unchanged: u32,
    /// Every record that the document names.
    pub named: BTreeSet<RecordId>,
    /// Every record that is taken away.
    pub gone: BTreeSet<RecordId>,
}

impl Document {
    /// Works out what applying this document to `existing` does.
    ///
    /// A record is found by its id, else by its name (a mapping by provider and owner), else made
    /// with an id of `new_id`, which is asked in the order of the document. Fields that are left
    /// out have their defaults; secrets that are left out stay as they are. Versions grow by one
    /// with each difference.
    pub fn against(&self, existing: &Catalog, new_id: impl FnMut() -> Uuid) -> Checked<Plan> {
        let mut merge = Merge::new(existing, new_id);
        merge.take(self);
        let Merge { edits, outcome, places, findings, .. } = merge;
        let ours: BTreeSet<&String> = places.values().collect();
        let place = |record: &RecordId| places.get(record).cloned();
        let (catalog, found) = match existing.with(edits, places.keys(), &place) {
            Ok((catalog, found)) => (Some(catalog), found),
            Err(Faults(found)) => (None, found),
        };
        let found = found.into_iter().filter(|it| it.is_fault() || is_of(it, &ours));
        let findings = self.places.locate(bounded(findings.into_iter().chain(found)));
        match catalog {
            Some(catalog) if !findings.iter().any(Finding::is_fault) => {
                let Outcome { created, updated, unchanged } = outcome;
                let (removed, gone) = (Vec::new(), BTreeSet::new());
                let named = places.into_keys().collect();
                let plan = Plan { catalog, created, updated, removed, unchanged, named, gone };
                Ok((plan, findings))
            }
            Some(_) | None => Err(Faults(findings)),
        }
    }
}

/// Whether a finding is about one of these records, named as in `gateway[3]`.
fn is_of(finding: &Finding, records: &BTreeSet<&String>) -> bool {
    finding.entry().is_some_and(|entry| records.contains(&entry.to_owned()))
}

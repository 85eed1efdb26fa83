//! A record taken away, and what cannot be without it.

use std::collections::BTreeSet;

use super::change::{Changed, NotChanged};
use super::document::{Plan, labels};
use super::edits::Edits;
use super::model::GatewayScope;
use super::{Catalog, RecordId};
use crate::fault::Finding;
use crate::id::GatewayId;

/// The most records that a refusal names.
const NEEDED_MAX: usize = 100;

/// A catalog without a record. With `cascade` everything that cannot be without it goes too, and
/// lists that have it lose it: one that is empty then allows nothing.
pub(super) fn without(
    catalog: &Catalog,
    record: RecordId,
    cascade: bool,
) -> Result<Changed, NotChanged> {
    let dependents = Dependents::of(catalog, &record);
    if !cascade && !dependents.is_empty() {
        return Err(NotChanged::Needed(dependents.findings(catalog)));
    }
    let Dependents { mut gone, lists } = dependents;
    gone.insert(record.clone());
    let mut edits = Edits::removing(&gone);
    let emptied = match &record {
        RecordId::Gateway(gateway) => strike(catalog, &mut edits, *gateway, &lists),
        RecordId::Provider(_)
        | RecordId::Mapping(_)
        | RecordId::Credential(_)
        | RecordId::Workspace(_) => BTreeSet::new(),
    };
    let (after, _) = catalog.with(edits, std::iter::empty(), &|_| None)?;
    let warn =
        |label| Finding::warning(format!("{label} lists no gateway any more: it allows none"));
    let findings = labels(catalog, &emptied).into_iter().map(warn).collect();
    let named: BTreeSet<_> = gone.union(&lists).cloned().collect();
    let plan = Plan {
        catalog: after,
        created: Vec::new(),
        updated: labels(catalog, &lists),
        removed: labels(catalog, &gone),
        unchanged: 0,
        named: BTreeSet::new(),
        gone,
    };
    Ok(Changed { record, named, plan, findings })
}

/// Takes a gateway off these lists, and gives those that are empty then.
fn strike(
    catalog: &Catalog,
    edits: &mut Edits,
    gateway: GatewayId,
    lists: &BTreeSet<RecordId>,
) -> BTreeSet<RecordId> {
    let mut emptied = BTreeSet::new();
    for record in lists {
        if let Some(mut mapping) = record.mapping().and_then(|id| catalog.mapping(id)).cloned() {
            mapping.version += 1;
            take_off(&mut mapping.gateways, gateway, record, &mut emptied);
            edits.mappings.insert(mapping.id, Some(mapping));
        }
        let credential = record.credential().and_then(|id| catalog.credential(id)).cloned();
        if let Some(mut credential) = credential {
            credential.version += 1;
            take_off(&mut credential.gateways, gateway, record, &mut emptied);
            edits.credentials.insert(credential.id, Some(credential));
        }
    }
    emptied
}

fn take_off(
    scope: &mut GatewayScope,
    gateway: GatewayId,
    record: &RecordId,
    emptied: &mut BTreeSet<RecordId>,
) {
    let GatewayScope::Selected(ids) = scope else { return };
    ids.remove(&gateway);
    if ids.is_empty() {
        emptied.insert(record.clone());
    }
}

/// What needs a record.
#[derive(Default)]
struct Dependents {
    /// Cannot be without it.
    gone: BTreeSet<RecordId>,
    /// Have its id in a list.
    lists: BTreeSet<RecordId>,
}

impl Dependents {
    fn of(catalog: &Catalog, record: &RecordId) -> Self {
        let index = &catalog.index;
        match record {
            RecordId::Provider(id) => {
                Self { gone: index.of_provider(*id).cloned().collect(), ..Self::default() }
            }
            RecordId::Gateway(id) => {
                Self { lists: index.listed_by(*id).cloned().collect(), ..Self::default() }
            }
            RecordId::Mapping(_) | RecordId::Credential(_) | RecordId::Workspace(_) => {
                Self::default()
            }
        }
    }

    fn is_empty(&self) -> bool {
        self.gone.is_empty() && self.lists.is_empty()
    }

    fn findings(&self, catalog: &Catalog) -> Vec<Finding> {
        let of = |these: &BTreeSet<RecordId>, what: &str| {
            let labels = labels(catalog, these).into_iter();
            labels.map(|label| Finding::fault(format!("{label} {what}"))).collect::<Vec<_>>()
        };
        let mut findings = of(&self.gone, "belongs to it");
        findings.extend(of(&self.lists, "lists it"));
        let more = findings.len().saturating_sub(NEEDED_MAX);
        findings.truncate(NEEDED_MAX);
        if more > 0 {
            findings.push(Finding::note(format!("{more} more are not listed")));
        }
        findings
    }
}

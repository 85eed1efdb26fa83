//! A record taken away, and what cannot be without it.

use std::collections::BTreeSet;

use super::change::{Changed, NotChanged};
use super::document::{Plan, labels, take_away};
use super::model::GatewayScope;
use super::{Catalog, RecordId, Records};
use crate::fault::Finding;
use crate::id::{GatewayId, ProviderId};

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
    let mut records = catalog.records().clone();
    let emptied = match &record {
        RecordId::Gateway(gateway) => strike(&mut records, *gateway),
        RecordId::Provider(_)
        | RecordId::Mapping(_)
        | RecordId::Credential(_)
        | RecordId::Workspace(_) => BTreeSet::new(),
    };
    take_away(&mut records, &gone);
    let (after, _) = Catalog::new(records)?;
    let warn =
        |label| Finding::warning(format!("{label} lists no gateway any more: it allows none"));
    let findings = labels(catalog.records(), &emptied).into_iter().map(warn).collect();
    let named = gone.union(&lists).cloned().collect();
    let plan = Plan {
        catalog: after,
        touched: Records::default(),
        created: Vec::new(),
        updated: labels(catalog.records(), &lists),
        removed: labels(catalog.records(), &gone),
        unchanged: 0,
        named: BTreeSet::new(),
        gone,
    };
    Ok(Changed { record, named, plan, findings })
}

/// Takes a gateway off every list, and gives those whose lists are empty now.
fn strike(records: &mut Records, gateway: GatewayId) -> BTreeSet<RecordId> {
    let mappings = records.mappings.iter_mut();
    let mappings = mappings.map(|it| (RecordId::Mapping(it.id), &mut it.gateways, &mut it.version));
    let credentials = records.credentials.iter_mut();
    let credentials =
        credentials.map(|it| (RecordId::Credential(it.id), &mut it.gateways, &mut it.version));
    let mut emptied = BTreeSet::new();
    for (record, scope, version) in mappings.chain(credentials) {
        let GatewayScope::Selected(ids) = scope else { continue };
        if ids.remove(&gateway) {
            *version += 1;
            if ids.is_empty() {
                emptied.insert(record);
            }
        }
    }
    emptied
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
        match record {
            RecordId::Provider(id) => Self::of_provider(catalog, *id),
            RecordId::Gateway(id) => Self::of_gateway(catalog, *id),
            RecordId::Mapping(_) | RecordId::Credential(_) | RecordId::Workspace(_) => {
                Self::default()
            }
        }
    }

    fn of_provider(catalog: &Catalog, id: ProviderId) -> Self {
        let Records { mappings, credentials, .. } = catalog.records();
        let mappings = mappings.iter().filter(|it| it.provider_id == id);
        let credentials = credentials.iter().filter(|it| it.provider_id == id);
        let mut gone = BTreeSet::new();
        gone.extend(catalog.gateways_of(id).map(|it| RecordId::Gateway(it.id)));
        gone.extend(mappings.map(|it| RecordId::Mapping(it.id)));
        gone.extend(credentials.map(|it| RecordId::Credential(it.id)));
        Self { gone, lists: BTreeSet::new() }
    }

    fn of_gateway(catalog: &Catalog, id: GatewayId) -> Self {
        let lists_it = |scope: &GatewayScope| match scope {
            GatewayScope::All => false,
            GatewayScope::Selected(ids) => ids.contains(&id),
        };
        let Records { mappings, credentials, .. } = catalog.records();
        let mappings = mappings.iter().filter(|it| lists_it(&it.gateways));
        let credentials = credentials.iter().filter(|it| lists_it(&it.gateways));
        let mut lists = BTreeSet::new();
        lists.extend(mappings.map(|it| RecordId::Mapping(it.id)));
        lists.extend(credentials.map(|it| RecordId::Credential(it.id)));
        Self { gone: BTreeSet::new(), lists }
    }

    fn is_empty(&self) -> bool {
        self.gone.is_empty() && self.lists.is_empty()
    }

    fn findings(&self, catalog: &Catalog) -> Vec<Finding> {
        let of = |these: &BTreeSet<RecordId>, what: &str| {
            let labels = labels(catalog.records(), these).into_iter();
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

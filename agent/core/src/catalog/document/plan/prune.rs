//! Taking away what a document no longer names.

use std::collections::BTreeSet;

use super::Plan;
use super::merge::words;
use super::record::Record;
use crate::catalog::{Catalog, RecordId, Records};
use crate::fault::Checked;
use crate::id::ProviderId;

impl Plan {
    /// The same plan, which also removes those of `made` that the document does not name: `made`
    /// are the records that earlier applies of it left. What a plugin service has stays. Faults are
    /// records that stay and refer to one that goes.
    pub fn prune(mut self, made: &BTreeSet<RecordId>) -> Checked<Self> {
        let gone = made.difference(&self.named).filter(|id| !self.catalog.is_a_services(id));
        let gone: BTreeSet<_> = gone.cloned().collect();
        if gone.is_empty() {
            return Ok((self, Vec::new()));
        }
        self.removed = labels(self.catalog.records(), &gone);
        let mut records = self.catalog.records().clone();
        take_away(&mut records, &gone);
        let (catalog, findings) = Catalog::new(records)?;
        Ok((Self { catalog, gone, ..self }, findings))
    }
}

/// The records without these.
pub(in crate::catalog) fn take_away(records: &mut Records, gone: &BTreeSet<RecordId>) {
    keep(&mut records.providers, gone);
    keep(&mut records.gateways, gone);
    keep(&mut records.mappings, gone);
    keep(&mut records.credentials, gone);
    keep(&mut records.workspaces, gone);
}

fn keep<R: Record>(list: &mut Vec<R>, gone: &BTreeSet<RecordId>) {
    list.retain(|record| !gone.contains(&record.id()));
}

/// These of the records, as `kind name`.
pub(in crate::catalog) fn labels(records: &Records, these: &BTreeSet<RecordId>) -> Vec<String> {
    let provider = |id: ProviderId| {
        let found = records.providers.iter().find(|provider| provider.id == id);
        found.map_or("?", |provider| &provider.name)
    };
    let goes = |id: RecordId| these.contains(&id);
    let mut names = Vec::new();
    for it in records.providers.iter().filter(|it| goes(it.id())) {
        names.push(format!("provider {}", it.name));
    }
    for it in records.gateways.iter().filter(|it| goes(it.id())) {
        names.push(format!("gateway {}/{}", provider(it.provider_id), it.name));
    }
    for it in records.mappings.iter().filter(|it| goes(it.id())) {
        names.push(format!("mapping {} {}", provider(it.provider_id), words(&it.owner)));
    }
    for it in records.credentials.iter().filter(|it| goes(it.id())) {
        names.push(format!("credential {}/{}", provider(it.provider_id), it.name));
    }
    for it in records.workspaces.iter().filter(|it| goes(it.id())) {
        names.push(format!("workspace {}", it.name));
    }
    names
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use uuid::Uuid;

    use super::*;
    use crate::catalog::Document;

    fn plan(existing: &Records, document: serde_json::Value) -> Plan {
        let (document, _) = Document::from_value(document).unwrap();
        let mut next = existing.workspaces.len() as u128;
        let new_id = || {
            next += 1;
            Uuid::from_u128(next)
        };
        document.against(existing, new_id).unwrap().0
    }

    #[test]
    fn what_is_no_longer_named_goes_if_an_apply_made_it() {
        let two = json!({"workspace": [{"name": "a"}, {"name": "b"}]});
        let before = plan(&Records::default(), two).catalog;
        let made = before.records().workspaces.iter().map(Record::id).collect();
        let one = || plan(before.records(), json!({"workspace": [{"name": "a"}]}));

        let (pruned, _) = one().prune(&made).unwrap();
        assert_eq!(pruned.removed, ["workspace b"]);
        assert!(pruned.catalog.workspace("a").is_some() && pruned.catalog.workspace("b").is_none());
        let (kept, _) = one().prune(&BTreeSet::new()).unwrap();
        assert!(kept.removed.is_empty() && kept.catalog.workspace("b").is_some());
    }

    #[test]
    fn what_others_refer_to_does_not_go() {
        let both = json!({
            "provider": [{"name": "p", "type": "custom"}],
            "mapping": [{"provider": "p", "user": "ann"}],
        });
        let before = plan(&Records::default(), both).catalog;
        let made = before.records().providers.iter().map(Record::id).collect();
        let faults = plan(before.records(), json!({})).prune(&made).unwrap_err();
        assert!(faults.to_string().contains("provider"), "{faults}");
    }
}

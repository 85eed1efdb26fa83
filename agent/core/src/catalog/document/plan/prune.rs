//! Taking away what a document no longer names.

use std::collections::BTreeSet;

use super::Plan;
use super::merge::words;
use crate::catalog::edits::Edits;
use crate::catalog::{Catalog, RecordId};
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
        self.removed = labels(&self.catalog, &gone);
        let (catalog, findings) =
            self.catalog.with(Edits::removing(&gone), std::iter::empty(), &|_| None)?;
        Ok((Self { catalog, gone, ..self }, findings))
    }
}

/// These of the records, as `kind name`.
pub(in crate::catalog) fn labels(catalog: &Catalog, these: &BTreeSet<RecordId>) -> Vec<String> {
    these.iter().filter_map(|record| label(catalog, record)).collect()
}

fn label(catalog: &Catalog, record: &RecordId) -> Option<String> {
    let provider = |id: ProviderId| catalog.provider(id).map_or("?", |provider| &provider.name);
    Some(match record {
        RecordId::Provider(id) => format!("provider {}", catalog.provider(*id)?.name),
        RecordId::Gateway(id) => {
            let it = catalog.gateway(*id)?;
            format!("gateway {}/{}", provider(it.provider_id), it.name)
        }
        RecordId::Mapping(id) => {
            let it = catalog.mapping(*id)?;
            format!("mapping {} {}", provider(it.provider_id), words(&it.owner))
        }
        RecordId::Credential(id) => {
            let it = catalog.credential(*id)?;
            format!("credential {}/{}", provider(it.provider_id), it.name)
        }
        RecordId::Workspace(name) => format!("workspace {}", catalog.workspace(name)?.name),
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use uuid::Uuid;

    use super::super::record::Record;
    use super::*;
    use crate::catalog::Document;

    fn plan(existing: &Catalog, document: serde_json::Value) -> Plan {
        let (document, _) = Document::from_value(document).unwrap();
        let mut next = existing.workspaces().count() as u128;
        let new_id = || {
            next += 1;
            Uuid::from_u128(next)
        };
        document.against(existing, new_id).unwrap().0
    }

    #[test]
    fn what_is_no_longer_named_goes_if_an_apply_made_it() {
        let two = json!({"workspace": [{"name": "a"}, {"name": "b"}]});
        let before = plan(&Catalog::default(), two).catalog;
        let made = before.workspaces().map(Record::id).collect();
        let one = || plan(&before, json!({"workspace": [{"name": "a"}]}));

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
        let before = plan(&Catalog::default(), both).catalog;
        let made = before.providers().map(Record::id).collect();
        let faults = plan(&before, json!({})).prune(&made).unwrap_err();
        assert!(faults.to_string().contains("provider"), "{faults}");
    }
}

//! Differences between two catalogs.

use std::sync::Arc;

use super::model::{Credential, Gateway, Mapping, Provider, Workspace};
use super::sorted::{Sorted, Versions};
use super::{Catalog, RecordId};

/// The records that are not the same in two catalogs, each list in ascending order of its key.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Differences<'a> {
    /// Providers.
    pub providers: Vec<Versions<'a, Provider>>,
    /// Ways out.
    pub gateways: Vec<Versions<'a, Gateway>>,
    /// Mappings.
    pub mappings: Vec<Versions<'a, Mapping>>,
    /// Credentials.
    pub credentials: Vec<Versions<'a, Credential>>,
    /// Workspaces.
    pub workspaces: Vec<Versions<'a, Workspace>>,
}

impl Catalog {
    /// The records that were added, changed and removed since `former`. What both share costs
    /// nothing.
    pub fn since<'a>(&'a self, former: &'a Self) -> Differences<'a> {
        Differences {
            providers: since(&self.providers, &former.providers, Arc::as_ref),
            gateways: since(&self.gateways, &former.gateways, |node| &*node.record),
            mappings: since(&self.mappings, &former.mappings, Arc::as_ref),
            credentials: since(&self.credentials, &former.credentials, |node| &node.record),
            workspaces: since(&self.workspaces, &former.workspaces, Arc::as_ref),
        }
    }
}

fn since<'a, K: Ord + Clone, N, R: PartialEq>(
    now: &'a Sorted<K, Arc<N>>,
    former: &'a Sorted<K, Arc<N>>,
    record: impl Fn(&Arc<N>) -> &R,
) -> Vec<Versions<'a, R>> {
    let same = |a: &Arc<N>, b: &Arc<N>| {
        let (one, another) = (record(a), record(b));
        std::ptr::eq(one, another) || one == another
    };
    let differences = now.since(former, same).into_iter();
    let of_records = |it: Versions<'a, Arc<N>>| Versions {
        before: it.before.map(&record),
        now: it.now.map(&record),
    };
    differences.map(of_records).collect()
}

impl Differences<'_> {
    /// The records that were taken away.
    pub fn gone(&self) -> impl Iterator<Item = RecordId> {
        let providers = gone(&self.providers, |it| RecordId::Provider(it.id));
        let gateways = gone(&self.gateways, |it| RecordId::Gateway(it.id));
        let mappings = gone(&self.mappings, |it| RecordId::Mapping(it.id));
        let credentials = gone(&self.credentials, |it| RecordId::Credential(it.id));
        let workspaces = gone(&self.workspaces, |it| RecordId::Workspace(it.name.clone()));
        providers.chain(gateways).chain(mappings).chain(credentials).chain(workspaces)
    }

    /// Number of records in it.
    pub fn count(&self) -> usize {
        self.providers.len()
            + self.gateways.len()
            + self.mappings.len()
            + self.credentials.len()
            + self.workspaces.len()
    }
}

fn gone<R>(
    records: &[Versions<'_, R>],
    id: impl Fn(&R) -> RecordId,
) -> impl Iterator<Item = RecordId> {
    records.iter().filter(|it| it.now.is_none()).filter_map(|it| it.before).map(id)
}

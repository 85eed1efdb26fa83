//! What a change of the catalog means to a session that runs.

use std::collections::BTreeSet;

use super::model::Subject;
use super::select::keeps;
use super::{Catalog, RecordId};
use crate::id::{CredentialId, GatewayId};

/// A session that runs, as far as the catalog matters to it.
#[derive(Debug, Clone, Copy)]
pub struct Running<'a> {
    /// Who asked for it.
    pub subject: &'a Subject,
    /// Its way out.
    pub gateway: GatewayId,
    /// What it connected with.
    pub credential: CredentialId,
    /// The [`secret_version`](super::Credential::secret_version) it connected with, where known.
    pub secret_version: Option<u64>,
}

impl Running<'_> {
    /// Why it would not come up the same way again after a change from `former` to `catalog`, if
    /// one of the `named` records has to do with it.
    ///
    /// What does not change its right to run nor what its tunnel is made of does not concern it; a
    /// record that is named and was changed before does.
    pub fn outdated_by(
        &self,
        former: &Catalog,
        catalog: &Catalog,
        named: &BTreeSet<RecordId>,
    ) -> Option<String> {
        if !named.iter().any(|record| self.runs_on(record, former)) {
            return None;
        }
        if let Err(reasons) = keeps(catalog, self.subject, self.gateway, self.credential) {
            let reasons: Vec<_> = reasons.iter().map(ToString::to_string).collect();
            return Some(reasons.join("; "));
        }
        self.is_stale(former, catalog)
            .then(|| "what its credential proves itself with has changed".to_owned())
            .or_else(|| {
                let config =
                    |catalog: &Catalog| Some(catalog.gateway(self.gateway)?.config.clone());
                let other = config(former) != config(catalog);
                other.then(|| "its gateway's config has changed".to_owned())
            })
    }

    fn runs_on(&self, record: &RecordId, former: &Catalog) -> bool {
        let provider = former.gateway(self.gateway).map(|gateway| gateway.provider_id);
        match record {
            RecordId::Provider(id) => provider == Some(*id),
            RecordId::Gateway(id) => self.gateway == *id,
            RecordId::Credential(id) => self.credential == *id,
            RecordId::Workspace(name) => self.subject.workspace.as_ref() == Some(name),
            RecordId::Mapping(id) => former.mapping(*id).is_some_and(|mapping| {
                provider == Some(mapping.provider_id) && self.subject.is(&mapping.owner)
            }),
        }
    }

    fn is_stale(&self, former: &Catalog, catalog: &Catalog) -> bool {
        let version = |catalog: &Catalog| Some(catalog.credential(self.credential)?.secret_version);
        self.secret_version.or_else(|| version(former)) != version(catalog)
    }
}

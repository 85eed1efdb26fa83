//! A snapshot against the catalog there is: what would be there after it.

use std::collections::{BTreeMap, BTreeSet};

use uuid::Uuid;

use super::upsert::{Difference, Former, Upsert};
use super::{PushedCredential, PushedGateway, Snapshot};
use crate::catalog::document::plan::secrets::{self, kept_config};
use crate::catalog::document::{CredentialEntry, Scope, Text};
use crate::catalog::edits::Edits;
use crate::catalog::model::{Credential, Gateway, GatewayScope, LastPush, Provider};
use crate::catalog::{Catalog, RecordId};
use crate::fault::{Faults, Finding, Report};
use crate::id::{CredentialId, GatewayId, ProviderId};

/// What a push does.
#[derive(Debug)]
pub struct Push {
    /// Everything there is afterwards; `None` where this very snapshot was pushed before.
    pub catalog: Option<Catalog>,
    /// What becomes of gateways.
    pub gateways: Difference,
    /// What becomes of credentials.
    pub credentials: Difference,
    /// Warnings and notes.
    pub findings: Vec<Finding>,
}

/// Why a push changes nothing.
#[derive(Debug, thiserror::Error)]
pub enum PushError {
    /// Nobody has such a provider.
    #[error("there is no provider {0}")]
    NoSuchProvider(ProviderId),
    /// It is not for plugin services.
    #[error("provider {0} is not managed")]
    NotManaged(String),
    /// A newer snapshot was pushed already.
    #[error("snapshot {pushed} was pushed already")]
    Outdated {
        /// The newer one's version.
        pushed: u64,
    },
    /// Another snapshot of the same version was pushed already.
    #[error("another snapshot {pushed} was pushed already")]
    Reused {
        /// The version of both.
        pushed: u64,
    },
    /// Entries are not sound, or do not fit what is there.
    #[error("the snapshot has faults")]
    Faults(#[source] Faults),
}

impl Snapshot {
    /// Works out what pushing this snapshot to a provider does.
    ///
    /// A record is found by its external id, else made with an id of `new_id`, which is asked in
    /// the order of the snapshot. What the snapshot cannot say of it stays: whether it is enabled,
    /// and a gateway's expected exit. Records without an external id are not the service's.
    pub fn against(
        &self,
        existing: &Catalog,
        provider: ProviderId,
        new_id: impl FnMut() -> Uuid,
    ) -> Result<Push, PushError> {
        let provider = existing.provider(provider).ok_or(PushError::NoSuchProvider(provider))?;
        if !provider.managed {
            return Err(PushError::NotManaged(provider.name.clone()));
        }
        let digest = self.digest();
        match &provider.last_push {
            Some(last) if last.version > self.version => {
                return Err(PushError::Outdated { pushed: last.version });
            }
            Some(last) if last.version == self.version && last.digest == digest => {
                return Ok(self.nothing());
            }
            Some(last) if last.version == self.version => {
                return Err(PushError::Reused { pushed: last.version });
            }
            Some(_) | None => {}
        }
        let mut planner = Planner::new(existing, provider, new_id);
        planner.take(self);
        planner.finish(LastPush { version: self.version, digest })
    }

    fn nothing(&self) -> Push {
        let unchanged = |entries: usize| Difference {
            unchanged: u32::try_from(entries).unwrap_or(u32::MAX),
            ..Difference::default()
        };
        Push {
            catalog: None,
            gateways: unchanged(self.gateways.len()),
            credentials: unchanged(self.credentials.as_ref().map_or(0, Vec::len)),
            findings: Vec::new(),
        }
    }
}

/// What becomes of the provider's records, entry by entry.
struct Planner<'a, F> {
    new_id: F,
    existing: &'a Catalog,
    provider: &'a Provider,
    gateways: Upsert<'a, Gateway>,
    credentials: Upsert<'a, Credential>,
    /// The gateways that the snapshot has.
    ids: BTreeMap<String, GatewayId>,
    /// Where in the snapshot a record stands, and what the service calls it.
    places: BTreeMap<RecordId, Place>,
    found: Report,
}

#[derive(Clone)]
struct Place {
    /// `gateways[3]`
    path: String,
    external_id: String,
}

impl<'a, F: FnMut() -> Uuid> Planner<'a, F> {
    fn new(existing: &'a Catalog, provider: &'a Provider, new_id: F) -> Self {
        let credentials = existing.credentials_at(provider.id).collect();
        Self {
            new_id,
            existing,
            provider,
            gateways: Upsert::new(existing.gateways_of(provider.id).collect()),
            credentials: Upsert::new(credentials),
            ids: BTreeMap::new(),
            places: BTreeMap::new(),
            found: Report::of_many(),
        }
    }

    fn take(&mut self, snapshot: &Snapshot) {
        for (nth, entry) in snapshot.gateways.iter().enumerate() {
            let external_id = entry.external_id.clone();
            self.gateway(entry, Place { path: format!("gateways[{nth}]"), external_id });
        }
        self.gateways.withdraw_others();
        let Some(credentials) = &snapshot.credentials else { return };
        for (nth, entry) in credentials.iter().enumerate() {
            let external_id = entry.external_id.clone();
            self.credential(entry, Place { path: format!("credentials[{nth}]"), external_id });
        }
        self.credentials.withdraw_others();
    }

    fn gateway(&mut self, entry: &PushedGateway, place: Place) {
        let external_id = &entry.external_id;
        let former = match self.gateways.former(external_id) {
            Former::Several => return self.ambiguous(&place),
            Former::None => None,
            Former::Made(id) => {
                self.stands_twice(&RecordId::Gateway(id), &place);
                return;
            }
            Former::One(former) if self.stands_twice(&RecordId::Gateway(former.id), &place) => {
                return;
            }
            Former::One(former) => Some(former),
        };
        let id = match former {
            Some(former) if is_as_pushed(former, entry) => {
                self.gateways.keep(former);
                former.id
            }
            Some(former) => {
                let Some(config) = self.config(entry, &place) else { return };
                self.gateways.replace(former, external_id, pushed(former.clone(), entry, config));
                former.id
            }
            None => {
                let Some(config) = self.config(entry, &place) else { return };
                let gateway = pushed(self.new_gateway(external_id), entry, config);
                let id = gateway.id;
                self.gateways.add(external_id, gateway);
                id
            }
        };
        self.ids.insert(external_id.clone(), id);
        self.places.insert(RecordId::Gateway(id), place);
    }

    fn new_gateway(&mut self, external_id: &str) -> Gateway {
        Gateway {
            id: GatewayId((self.new_id)()),
            provider_id: self.provider.id,
            name: String::new(),
            country: String::new(),
            city: String::new(),
            enabled: self.provider.enable_new_managed_gateways,
            config: String::new(),
            external_id: Some(external_id.to_owned()),
            version: 0,
            expected_exit: None,
            withdrawn: None,
        }
    }

    fn config(&mut self, entry: &PushedGateway, place: &Place) -> Option<String> {
        match kept_config(&entry.config, self.provider.kind) {
            Ok((config, cut)) => {
                if let Some((field, why)) = cut {
                    self.find(Finding::warning(why), Some(field), place);
                }
                Some(config)
            }
            Err((field, why)) => {
                self.find(Finding::fault(why), field, place);
                None
            }
        }
    }

    fn credential(&mut self, entry: &PushedCredential, place: Place) {
        let gateways = self.gateways_meant(&entry.gateways, &place);
        let (id, former) = match self.credentials.former(&entry.external_id) {
            Former::Several => return self.ambiguous(&place),
            Former::None => (CredentialId((self.new_id)()), None),
            Former::Made(id) => (id, None),
            Former::One(former) => (former.id, Some(former)),
        };
        if self.stands_twice(&RecordId::Credential(id), &place) {
            return;
        }
        let Some(credential) = self.new_credential(id, entry, gateways, former, &place) else {
            return;
        };
        match former {
            Some(former) => self.credentials.replace(former, &entry.external_id, credential),
            None => self.credentials.add(&entry.external_id, credential),
        }
        self.places.insert(RecordId::Credential(id), place);
    }

    fn new_credential(
        &mut self,
        id: CredentialId,
        entry: &PushedCredential,
        gateways: GatewayScope,
        former: Option<&Credential>,
        place: &Place,
    ) -> Option<Credential> {
        let entry = CredentialEntry::from(entry);
        let (secret, overrides) =
            (secrets::secret(&entry, former), secrets::overrides(&entry, former));
        let (secret, overrides) =
            (self.unless_flawed(secret, place), self.unless_flawed(overrides, place));
        let (secret, overrides) = (secret?, overrides?);
        Some(Credential {
            id,
            provider_id: self.provider.id,
            name: entry.name,
            enabled: former.is_none_or(|former| former.enabled),
            owner: entry.owner,
            secret,
            gateways,
            limit: entry.active_connection_limit,
            external_id: entry.external_id,
            overrides,
            account: entry.account,
            version: former.map_or(0, |former| former.version),
            withdrawn: None,
            secret_version: 1,
        })
    }

    fn gateways_meant(&mut self, scope: &Scope, place: &Place) -> GatewayScope {
        let Scope::Selected(external_ids) = scope else { return GatewayScope::All };
        let mut meant = BTreeSet::new();
        for (nth, external_id) in external_ids.iter().enumerate() {
            if let Some(id) = self.ids.get(external_id) {
                meant.insert(*id);
                continue;
            }
            let why = "the snapshot has no gateway of this external_id";
            self.find(Finding::fault(why), Some(&format!("gateways[{nth}]")), place);
        }
        GatewayScope::Selected(meant)
    }

    /// Whether an entry before this one is of the same record, which is a fault.
    fn stands_twice(&mut self, record: &RecordId, place: &Place) -> bool {
        let Some(first) = self.places.get(record) else { return false };
        let why = format!("the same as in {}: each can stand here once", first.path);
        self.find(Finding::fault(why), Some("external_id"), place);
        true
    }

    fn ambiguous(&mut self, place: &Place) {
        let why = "several records of the provider have it: change all but one of them";
        self.find(Finding::fault(why), Some("external_id"), place);
    }

    fn unless_flawed<T>(&mut self, value: Result<T, secrets::Flaw>, place: &Place) -> Option<T> {
        value.map_err(|(field, why)| self.find(Finding::fault(why), field, place)).ok()
    }

    fn find(&mut self, finding: Finding, field: Option<&str>, place: &Place) {
        let path = &place.path;
        let field = field.map_or_else(|| path.clone(), |field| format!("{path}.{field}"));
        let mut finding = finding.about(field);
        finding.set_external_id(Some(&place.external_id));
        self.found.push(finding);
    }

    fn finish(self, last: LastPush) -> Result<Push, PushError> {
        let Self { existing, provider, gateways, credentials, places, mut found, .. } = self;
        let (version, last_push) = (provider.version + 1, Some(last));
        let provider = Provider { version, last_push, ..provider.clone() };
        let edits = Edits {
            providers: [(provider.id, Some(provider))].into(),
            gateways: gateways.edits,
            credentials: credentials.edits,
            ..Edits::default()
        };
        let path = |record: &RecordId| places.get(record).map(|place| place.path.clone());
        let (catalog, findings) = match existing.with(edits, places.keys(), &path) {
            Ok((catalog, findings)) => (Some(catalog), findings),
            Err(Faults(findings)) => (None, findings),
        };
        ours(findings, &places).for_each(|finding| found.push(finding));
        let findings = found.by_class();
        match catalog {
            Some(catalog) if !findings.iter().any(Finding::is_fault) => Ok(Push {
                catalog: Some(catalog),
                gateways: gateways.difference,
                credentials: credentials.difference,
                findings,
            }),
            Some(_) | None => Err(PushError::Faults(Faults(findings))),
        }
    }
}

/// Whether a gateway is what an entry says: nothing of it is read or kept again then.
fn is_as_pushed(former: &Gateway, entry: &PushedGateway) -> bool {
    let Gateway { name, country, city, config, withdrawn, .. } = former;
    let Text::Inline(text) = &entry.config else { return false };
    withdrawn.is_none()
        && (name, country, city) == (&entry.name, &entry.country, &entry.city)
        && config == text.expose()
}

/// A gateway with what an entry says of it.
fn pushed(gateway: Gateway, entry: &PushedGateway, config: String) -> Gateway {
    let PushedGateway { name, country, city, .. } = entry;
    Gateway { name: name.clone(), country: country.clone(), city: city.clone(), config, ..gateway }
}

/// What was found of the snapshot's records, with the service's ids; of others only what stands in
/// the way.
fn ours(
    findings: Vec<Finding>,
    places: &BTreeMap<RecordId, Place>,
) -> impl Iterator<Item = Finding> {
    let ids: BTreeMap<&str, &str> =
        places.values().map(|place| (place.path.as_str(), place.external_id.as_str())).collect();
    findings.into_iter().filter_map(move |mut finding| {
        let external_id = finding.entry().and_then(|entry| ids.get(entry).copied());
        finding.set_external_id(external_id);
        (external_id.is_some() || finding.is_fault()).then_some(finding)
    })
}

//! A catalog made of another one and of what becomes of some of its records.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::check::Check;
use super::edits::Edits;
use super::index::Taken;
use super::model::{Credential, Gateway, Mapping, Provider, Workspace};
use super::node::{CredentialNode, GatewayNode, Parser, Reading};
use super::{Catalog, RecordId, RecordKind, Records};
use crate::fault::{Checked, unless_faulty};
use crate::id::{CredentialId, GatewayId, ProviderId};

/// Names of records in findings, where those are not the records' own.
pub(super) type Place<'a> = &'a dyn Fn(&RecordId) -> Option<String>;

impl Catalog {
    /// Checks records and keeps them. All faults of all records come at once; a finding's field
    /// names its record, as in `gateways[mullvad/se-1].config.Peer.Endpoint`.
    pub fn new(records: Records) -> Checked<Self> {
        let (edits, twice) = Edits::adding(records);
        let named = edits.records();
        let mut build = Build::of(&Self::default());
        build.edit(edits);
        for record in twice {
            let field = if record.kind() == RecordKind::Workspace { "name" } else { "id" };
            build.taken.entry(record).or_default().insert(field);
        }
        build.finish(&BTreeSet::new(), named.iter(), &|_| None)
    }

    /// The catalog with these edits. Costs what they touch. Findings are those of the `named` records
    /// and whatever is a fault.
    pub(super) fn with<'a>(
        &self,
        edits: Edits,
        named: impl Iterator<Item = &'a RecordId>,
        place: Place<'_>,
    ) -> Checked<Self> {
        let edited = edits.records();
        let mut build = Build::of(self);
        build.edit(edits);
        build.finish(&edited, named, place)
    }
}

/// A catalog that is being made.
struct Build {
    catalog: Catalog,
    parser: Parser,
    taken: Taken,
    /// Records that may not be sound any more although nobody has edited them.
    concerned: BTreeSet<RecordId>,
}

impl Build {
    fn of(former: &Catalog) -> Self {
        Self {
            catalog: former.clone(),
            parser: Parser::default(),
            taken: Taken::new(),
            concerned: BTreeSet::new(),
        }
    }

    /// All that goes or changes is taken out first: two records may swap their names.
    fn edit(&mut self, edits: Edits) {
        let Edits { providers, gateways, mappings, credentials, workspaces } = edits;
        let mut added_providers = Vec::new();
        for (id, record) in providers {
            let former = self.take_provider(id);
            added_providers.push((id, former, record));
        }
        let mut added_gateways = Vec::new();
        for (id, record) in gateways {
            let former = self.take_gateway(id);
            self.note_lists(id, former.as_deref(), record.as_ref());
            added_gateways.extend(record.map(|record| (Arc::new(record), former)));
        }
        for id in mappings.keys() {
            if let Some(former) = self.catalog.mappings.remove(id) {
                self.catalog.index.remove_mapping(&former);
            }
        }
        let mut added_credentials = Vec::new();
        for (id, record) in credentials {
            let former = self.take_credential(id);
            added_credentials.extend(record.map(|record| (record, former)));
        }
        for (id, former, record) in added_providers {
            self.put_provider(id, former.as_deref(), record, &mut added_gateways);
        }
        for (record, former) in added_gateways {
            self.put_gateway(record, former.as_deref());
        }
        mappings.into_values().flatten().for_each(|record| self.put_mapping(record));
        for (record, former) in added_credentials {
            self.put_credential(record, former.as_deref());
        }
        for (name, record) in workspaces {
            self.put_workspace(name, record);
        }
    }

    fn take_provider(&mut self, id: ProviderId) -> Option<Arc<Provider>> {
        let former = self.catalog.providers.remove(&id)?;
        self.catalog.index.remove_provider(&former);
        Some(former)
    }

    fn take_gateway(&mut self, id: GatewayId) -> Option<Arc<GatewayNode>> {
        let former = self.catalog.gateways.remove(&id)?;
        self.catalog.index.remove_gateway(&former);
        Some(former)
    }

    fn take_credential(&mut self, id: CredentialId) -> Option<Arc<CredentialNode>> {
        let former = self.catalog.credentials.remove(&id)?;
        self.catalog.index.remove_credential(&former);
        Some(former)
    }

    /// A gateway that goes, or goes to another provider, must not be on lists.
    fn note_lists(&mut self, id: GatewayId, former: Option<&GatewayNode>, now: Option<&Gateway>) {
        let provider = |gateway: &Gateway| gateway.provider_id;
        if former.map(|node| provider(&node.record)) != now.map(provider) {
            self.concerned.extend(self.catalog.index.listed_by(id).cloned());
        }
    }

    /// Takes out those of its gateways whose texts or lines in menus depend on what has changed.
    fn put_provider(
        &mut self,
        id: ProviderId,
        former: Option<&Provider>,
        record: Option<Provider>,
        gateways: &mut Vec<(Arc<Gateway>, Option<Arc<GatewayNode>>)>,
    ) {
        let alike = former.zip(record.as_ref()).is_some_and(|(one, another)| {
            Reading::of(one) == Reading::of(another) && one.name == another.name
        });
        if !alike {
            let dependents: Vec<_> = self.catalog.index.of_provider(id).cloned().collect();
            for gateway in dependents.iter().filter_map(RecordId::gateway) {
                let node = self.take_gateway(gateway);
                gateways.extend(node.map(|node| (Arc::clone(&node.record), Some(node))));
            }
            self.concerned.extend(dependents);
        }
        let Some(record) = record else { return };
        self.catalog.index.add_provider(&record, &mut self.taken);
        self.catalog.providers.insert(id, Arc::new(record));
    }

    fn put_gateway(&mut self, record: Arc<Gateway>, former: Option<&GatewayNode>) {
        let provider = self.catalog.providers.get(&record.provider_id).cloned();
        let reading = provider.as_deref().map(Reading::of);
        let known = former.filter(|former| {
            former.parsed.is_read_as(reading) && former.record.config == record.config
        });
        let parsed = match known {
            Some(known) => Arc::clone(&known.parsed),
            None => Arc::new(self.parser.parse(&record.config, reading)),
        };
        let node = Arc::new(GatewayNode::new(record, parsed, provider.as_deref()));
        self.catalog.index.add_gateway(&node, &mut self.taken);
        self.catalog.gateways.insert(node.record.id, node);
    }

    fn put_mapping(&mut self, record: Mapping) {
        let record = Arc::new(record);
        self.catalog.index.add_mapping(&record);
        self.catalog.mappings.insert(record.id, record);
    }

    fn put_credential(&mut self, record: Credential, former: Option<&CredentialNode>) {
        let node = Arc::new(CredentialNode::new(record, former));
        self.catalog.index.add_credential(&node, &mut self.taken);
        self.catalog.credentials.insert(node.record.id, node);
    }

    fn put_workspace(&mut self, name: String, record: Option<Workspace>) {
        match record {
            Some(record) => drop(self.catalog.workspaces.insert(name, Arc::new(record))),
            None => drop(self.catalog.workspaces.remove(&name)),
        }
    }

    fn finish<'a>(
        mut self,
        edited: &BTreeSet<RecordId>,
        named: impl Iterator<Item = &'a RecordId>,
        place: Place<'_>,
    ) -> Checked<Catalog> {
        self.concerned.extend(edited.iter().cloned());
        self.concerned.extend(self.taken.keys().cloned());
        self.concerned.extend(named.cloned());
        let mut check = Check::new(&self.catalog, &self.taken, place);
        self.concerned.iter().for_each(|record| check.record(record));
        unless_faulty(check.finish(), || self.catalog)
    }
}

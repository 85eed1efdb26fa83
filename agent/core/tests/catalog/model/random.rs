//! Random worlds in which the right thing and the nearly right thing are equally common.

use egress_core::catalog::{Gateway, GatewayScope, Mapping, Provider, Records, Workspace};
use egress_core::id::{CredentialId, GatewayId, MappingId, ProviderId};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;
use uuid::Uuid;

use super::draft::{self, CredentialDraft, GatewayDraft, MappingDraft, ScopeDraft};
use super::world::{Live, World};
use crate::lab;

/// Up to 50 of each record; more often a handful, where one record decides.
pub fn world() -> impl Strategy<Value = World> {
    let records = (
        some(draft::provider(), 1),
        some(draft::gateway(), 0),
        some(draft::mapping(), 0),
        some(draft::credential(), 0),
        vec(draft::workspace(), 0..=3),
    );
    let connection = || (any::<Index>(), any::<Index>());
    let live = prop_oneof![vec(connection(), 0..=6), vec(connection(), 0..=40)];
    (records, live, vec(draft::subject(), 3)).prop_map(|(records, live, subjects)| {
        let (providers, gateways, mappings, credentials, workspaces) = records;
        let mut world = World { subjects, ..World::default() };
        place(providers, |id, it| world.records.providers.push(named(it, id)));
        place(gateways, |id, it| add_gateway(&mut world, GatewayId(id), &it));
        place(mappings, |id, it| add_mapping(&mut world.records, MappingId(id), it));
        place(credentials, |id, it| add_credential(&mut world, CredentialId(id), &it));
        add_workspaces(&mut world.records, workspaces);
        world.live = live.iter().filter_map(|its| lived(&world.records, its)).collect();
        world
    })
}

fn some<S: Strategy + 'static>(
    draft: S,
    least: usize,
) -> impl Strategy<Value = Vec<(u64, S::Value)>> {
    let draft = (any::<u64>(), draft).boxed();
    prop_oneof![2 => vec(draft.clone(), least..=8), 1 => vec(draft, least..=50)]
}

/// Gives each record a random id, unique by the record's place.
fn place<T>(drafts: Vec<(u64, T)>, mut add: impl FnMut(Uuid, T)) {
    for (at, (high, draft)) in drafts.into_iter().enumerate() {
        add(Uuid::from_u128((u128::from(high) << 64) | at as u128), draft);
    }
}

fn named(draft: Provider, id: Uuid) -> Provider {
    Provider { id: ProviderId(id), name: format!("p-{id}"), ..draft }
}

fn add_gateway(world: &mut World, id: GatewayId, draft: &GatewayDraft) {
    let provider = &world.records.providers[draft.provider % world.records.providers.len()];
    let text = draft.text(provider.kind);
    if let Some(config) = draft.config(provider.kind) {
        world.configs.insert(id, config);
    }
    if draft.asks_for_login(provider.kind) {
        world.asks_for_login.insert(id);
    }
    world.records.gateways.push(Gateway {
        id,
        provider_id: provider.id,
        name: format!("g-{id}"),
        enabled: draft.enabled,
        config: text,
        ..lab::gateway(0, 0)
    });
}

fn add_mapping(records: &mut Records, id: MappingId, draft: MappingDraft) {
    let provider_id = records.providers[draft.provider % records.providers.len()].id;
    let gateways = scope(records, provider_id, &draft.scope);
    let MappingDraft { enabled, owner, .. } = draft;
    let template = lab::mapping(0, 0, "user:nobody");
    records.mappings.push(Mapping { id, provider_id, enabled, owner, gateways, ..template });
}

fn add_credential(world: &mut World, id: CredentialId, draft: &CredentialDraft) {
    let provider = &world.records.providers[draft.provider % world.records.providers.len()];
    let gateways = scope(&world.records, provider.id, &draft.scope);
    let credential = draft.credential(id, provider, gateways);
    if let Some(client) = draft.client(provider.kind) {
        world.clients.insert(id, client);
    }
    world.records.credentials.push(credential);
}

/// One record for each name.
fn add_workspaces(records: &mut Records, drafts: Vec<Workspace>) {
    for draft in drafts {
        if records.workspaces.iter().all(|it| it.name != draft.name) {
            records.workspaces.push(draft);
        }
    }
}

fn scope(records: &Records, provider: ProviderId, draft: &ScopeDraft) -> GatewayScope {
    let ScopeDraft::Selected(picks) = draft else { return GatewayScope::All };
    let of_provider = gateways_of(records, provider);
    let picked = picks.iter().filter(|_| !of_provider.is_empty()).map(|it| it.get(&of_provider));
    GatewayScope::Selected(picked.map(|at| records.gateways[*at].id).collect())
}

/// A connection on this credential through some gateway of its provider.
fn lived(records: &Records, (credential, gateway): &(Index, Index)) -> Option<Live> {
    let count = records.credentials.len();
    let credential = (count > 0).then(|| credential.index(count))?;
    let gateways = gateways_of(records, records.credentials[credential].provider_id);
    (!gateways.is_empty()).then(|| Live { credential, gateway: *gateway.get(&gateways) })
}

fn gateways_of(records: &Records, provider: ProviderId) -> Vec<usize> {
    let all = records.gateways.iter().enumerate();
    all.filter(|(_, it)| it.provider_id == provider).map(|(at, _)| at).collect()
}

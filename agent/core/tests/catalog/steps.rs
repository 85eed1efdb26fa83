//! Changes one after the other lead to what a catalog made anew of the same records is: the same
//! is refused, and the same is found.

use egress_core::catalog::{
    Catalog, Change, Expected, GatewayScope, Menu, Named, NotChanged, OnHooks, ProviderType,
    RecordId, Records,
};
use egress_core::id::MappingId;
use proptest::prelude::*;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::lab::{
    self, Counts, ann, catalog, config, credential_id, gateway_id, provider_id, selected,
};

/// A change of one record, as the API takes it and as it is meant.
#[derive(Debug, Clone)]
enum Step {
    ProviderName(u128, &'static str),
    ProviderType(u128, ProviderType),
    OnHooks(u128, OnHooks),
    GatewayName(u128, &'static str),
    GatewayExternalId(u128, Option<&'static str>),
    GatewayConfig(u128, String),
    GatewayProvider(u128, u128),
    GatewayGoes(u128),
    CredentialName(u128, &'static str),
    CredentialAccount(u128, Option<&'static str>),
    CredentialGateways(u128, Vec<u128>),
    MappingGateways(u128, Vec<u128>),
}

fn name() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec!["a", "b", "g1", "g2", "p1", "c1", " a"])
}

fn text() -> impl Strategy<Value = String> {
    let hooks = config(3).replace("[Peer]", "PostUp = true\n[Peer]");
    let without_address = config(4).replace("Address = 10.0.0.2\n", "");
    prop::sample::select(vec![config(1), config(2), hooks, without_address, "x".to_owned()])
}

fn step() -> impl Strategy<Value = Step> {
    let (two, four) = (1..=2_u128, 1..=4_u128);
    let list = || prop::collection::vec(1..=4_u128, 0..3);
    let kinds = [ProviderType::Wireguard, ProviderType::Custom, ProviderType::Openvpn];
    let optional = || prop::option::of(name());
    prop_oneof![
        1 => (two.clone(), name()).prop_map(|(n, name)| Step::ProviderName(n, name)),
        1 => (two.clone(), prop::sample::select(kinds.to_vec()))
            .prop_map(|(n, kind)| Step::ProviderType(n, kind)),
        1 => (two.clone(), prop::sample::select(vec![OnHooks::Refuse, OnHooks::Drop]))
            .prop_map(|(n, on_hooks)| Step::OnHooks(n, on_hooks)),
        1 => (four.clone(), name()).prop_map(|(n, name)| Step::GatewayName(n, name)),
        1 => (four.clone(), optional()).prop_map(|(n, id)| Step::GatewayExternalId(n, id)),
        1 => (four.clone(), text()).prop_map(|(n, text)| Step::GatewayConfig(n, text)),
        4 => (four.clone(), two.clone()).prop_map(|(n, of)| Step::GatewayProvider(n, of)),
        1 => four.clone().prop_map(Step::GatewayGoes),
        1 => (two.clone(), name()).prop_map(|(n, name)| Step::CredentialName(n, name)),
        1 => (two.clone(), optional()).prop_map(|(n, account)| Step::CredentialAccount(n, account)),
        4 => (two.clone(), list()).prop_map(|(n, list)| Step::CredentialGateways(n, list)),
        4 => (two, list()).prop_map(|(n, list)| Step::MappingGateways(n, list)),
    ]
}

impl Step {
    fn change(&self) -> Change {
        let provider = |n: &u128| RecordId::Provider(provider_id(*n));
        let gateway = |n: &u128| RecordId::Gateway(gateway_id(*n));
        let credential = |n: &u128| RecordId::Credential(credential_id(*n));
        let ids = |list: &[u128]| list.iter().map(|n| gateway_id(*n)).collect::<Vec<_>>();
        let (record, patch) = match self {
            Self::ProviderName(n, name) => (provider(n), json!({"name": name})),
            Self::ProviderType(n, kind) => (provider(n), json!({"type": kind})),
            Self::OnHooks(n, on_hooks) => (provider(n), json!({"on_hooks": on_hooks})),
            Self::GatewayName(n, name) => (gateway(n), json!({"name": name})),
            Self::GatewayExternalId(n, id) => (gateway(n), json!({"external_id": id})),
            Self::GatewayConfig(n, text) => (gateway(n), json!({"config": text})),
            Self::GatewayProvider(n, of) => (gateway(n), json!({"provider": provider_id(*of)})),
            Self::GatewayGoes(n) => {
                let (record, expected) = (gateway(n), Expected::Any);
                return Change::Remove { record, cascade: true, expected };
            }
            Self::CredentialName(n, name) => (credential(n), json!({"name": name})),
            Self::CredentialAccount(n, it) => (credential(n), json!({"account": it})),
            Self::CredentialGateways(n, list) => (credential(n), json!({"gateways": ids(list)})),
            Self::MappingGateways(n, list) => {
                let record = RecordId::Mapping(MappingId(Uuid::from_u128(*n)));
                (record, json!({"gateways": ids(list)}))
            }
        };
        let Value::Object(patch) = patch else { panic!("a patch is an object") };
        Change::Update { record, patch, expected: Expected::Any }
    }

    /// The same to a list of records.
    #[expect(clippy::wildcard_enum_match_arm, reason = "each list is for some of the steps")]
    fn take(&self, records: &mut Records) {
        let Records { providers, gateways, mappings, credentials, .. } = records;
        let provider = |n: &u128| provider_id(*n);
        let gateway = |n: &u128| gateway_id(*n);
        let scope = |list: &[u128]| selected(list);
        for it in providers {
            match self {
                Self::ProviderName(n, name) if provider(n) == it.id => it.name = (*name).into(),
                Self::ProviderType(n, kind) if provider(n) == it.id => it.kind = *kind,
                Self::OnHooks(n, on_hooks) if provider(n) == it.id => it.on_hooks = *on_hooks,
                _ => {}
            }
        }
        for it in gateways.iter_mut() {
            match self {
                Self::GatewayName(n, name) if gateway(n) == it.id => it.name = (*name).into(),
                Self::GatewayExternalId(n, id) if gateway(n) == it.id => {
                    it.external_id = id.map(str::to_owned);
                }
                Self::GatewayConfig(n, text) if gateway(n) == it.id => it.config.clone_from(text),
                Self::GatewayProvider(n, of) if gateway(n) == it.id => {
                    it.provider_id = provider(of);
                }
                _ => {}
            }
        }
        for (at, it) in (1..).zip(credentials) {
            match self {
                Self::CredentialName(n, name) if *n == at => it.name = (*name).into(),
                Self::CredentialAccount(n, account) if *n == at => {
                    it.account = account.map(str::to_owned);
                }
                Self::CredentialGateways(n, list) if *n == at => it.gateways = scope(list),
                Self::GatewayGoes(n) => strike(&mut it.gateways, *n),
                _ => {}
            }
        }
        for (at, it) in (1..).zip(mappings) {
            match self {
                Self::MappingGateways(n, list) if *n == at => it.gateways = scope(list),
                Self::GatewayGoes(n) => strike(&mut it.gateways, *n),
                _ => {}
            }
        }
        if let Self::GatewayGoes(n) = self {
            gateways.retain(|it| it.id != gateway(n));
        }
    }
}

fn strike(scope: &mut GatewayScope, gateway: u128) {
    if let GatewayScope::Selected(ids) = scope {
        ids.remove(&gateway_id(gateway));
    }
}

fn first() -> Records {
    let mut limited = lab::credential(2, 2, "user:ann");
    limited.limit = std::num::NonZeroU32::new(3);
    Records {
        providers: vec![lab::provider(1), lab::provider(2)],
        gateways: vec![
            lab::gateway(1, 1),
            lab::gateway(2, 1),
            lab::gateway(3, 2),
            lab::gateway(4, 2),
        ],
        mappings: vec![lab::mapping(1, 1, "user:ann"), lab::mapping(2, 2, "group:staff")],
        credentials: vec![lab::credential(1, 1, "user:ann"), limited],
        workspaces: vec![],
    }
}

/// The records without what counts their changes.
fn unversioned(mut records: Records) -> Records {
    records.providers.iter_mut().for_each(|it| it.version = 0);
    records.gateways.iter_mut().for_each(|it| it.version = 0);
    records.mappings.iter_mut().for_each(|it| it.version = 0);
    for it in &mut records.credentials {
        (it.version, it.secret_version) = (0, 0);
    }
    records
}

/// All that is found in a catalog by other ways than by lists.
fn found(catalog: &Catalog) -> impl std::fmt::Debug + use<> {
    let asked = ["a", "b", "g1", "g2", "p1", "c1", "a/g1", "p1/a", "b/a"];
    let named = asked.map(|name| match catalog.gateway_named(name) {
        Named::Nothing => Vec::new(),
        Named::One(one) => vec![one.id],
        Named::Several(several) => several.iter().map(|it| it.id).collect(),
    });
    let providers = asked.map(|name| catalog.provider_named(name).map(|it| it.id));
    let of = [1, 2].map(|n| {
        let of = provider_id(n);
        let gateways: Vec<_> = catalog.gateways_of(of).map(|it| it.id).collect();
        (gateways, asked.map(|account| catalog.account_limit(of, account)))
    });
    let configs: Vec<_> = catalog.gateways().map(|it| catalog.wireguard(it.id).cloned()).collect();
    let keys: Vec<_> = catalog.credentials().map(|it| catalog.public_key(it.id)).collect();
    let menu = Menu::of(catalog, &Counts::default(), &ann());
    let menu = menu.json(|_| egress_core::api::Health::Unknown, None);
    (named, providers, of, configs, keys, String::from_utf8(menu).unwrap())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]
    #[test]
    fn steps_lead_to_what_is_made_at_once(steps in prop::collection::vec(step(), 1..24)) {
        let mut now = catalog(first());
        for step in steps {
            let mut records = now.records();
            step.take(&mut records);
            match (step.change().against(&now, Uuid::now_v7), Catalog::new(records)) {
                (Ok(changed), Ok((anew, _))) => {
                    now = changed.plan.catalog;
                    prop_assert_eq!(unversioned(now.records()), unversioned(anew.records()));
                    prop_assert_eq!(
                        format!("{:?}", found(&now)), format!("{:?}", found(&anew)), "{:?}", step
                    );
                }
                (Err(NotChanged::NoSuchRecord), _) | (Err(_), Err(_)) => {}
                (one, another) => {
                    let (one, another) = (one.err(), another.err());
                    prop_assert!(false, "{:?}: {:?}, made anew: {:?}", step, one, another);
                }
            }
        }
    }
}

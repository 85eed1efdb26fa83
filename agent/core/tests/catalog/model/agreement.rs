//! The implementation and the model, asked the same questions.

use std::collections::BTreeMap;

use egress_core::catalog::{Catalog, Egress, Offer, Subject, Why, Workspace, explain, why};
use egress_core::id::GatewayId;
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;

use super::random::world;
use super::verdict::{Usable, Verdict, verdict};
use super::world::{Counts, World};
use crate::lab;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn what_is_offered_and_why_not_is_what_the_design_says(world in world()) {
        let (catalog, _) = Catalog::new(world.records.clone()).unwrap();
        for subject in &world.subjects {
            for gateway in asked(&world) {
                let (ours, theirs) = both(&world, &catalog, subject, gateway);
                prop_assert_eq!(ours, theirs, "{:?} asks for {}", subject, gateway);
            }
        }
    }

    #[test]
    fn whether_a_launch_may_go_without_a_gateway_is_the_workspaces_word(world in world()) {
        let (catalog, _) = Catalog::new(world.records.clone()).unwrap();
        for subject in &world.subjects {
            let optional = |it: &Workspace| {
                Some(&it.name) == subject.workspace.as_ref() && it.egress == Egress::Optional
            };
            let found = catalog.egress(subject.workspace.as_deref()) == Egress::Optional;
            prop_assert_eq!(found, world.records.workspaces.iter().any(optional));
        }
    }

    #[test]
    fn the_menu_is_every_gateway_that_is_offered(world in world()) {
        let (catalog, _) = Catalog::new(world.records.clone()).unwrap();
        for subject in &world.subjects {
            let offered =
                |it: &GatewayId| matches!(verdict(&world, subject, *it), Verdict::Offered(_));
            let mut expected: Vec<_> = asked(&world).filter(offered).collect();
            expected.sort();
            let counts = Counts::new(&world, &catalog);
            let mut found = lab::offers(&catalog, &counts, subject);
            found.sort();
            prop_assert_eq!(found, expected);
        }
    }
}

/// Agreement about catalogs in which nothing ever happens would say nothing.
#[test]
fn the_random_catalogs_reach_every_reason_every_refusal_and_every_order() {
    let mut runner = TestRunner::deterministic();
    let mut reached: BTreeMap<String, u32> = BTreeMap::new();
    for _ in 0..400 {
        let world = world().new_tree(&mut runner).unwrap().current();
        let subject = &world.subjects[0];
        for gateway in asked(&world) {
            for word in words(&world, &verdict(&world, subject, gateway)) {
                *reached.entry(word).or_default() += 1;
            }
        }
    }
    for word in EXPECTED {
        let times = reached.remove(word).unwrap_or(0);
        assert!(times >= 10, "{word} came {times} times");
    }
    assert!(reached.is_empty(), "not expected: {reached:?}");
    assert!(why::WORDS.iter().all(|word| EXPECTED.contains(word)));
}

const EXPECTED: [&str; 24] = [
    "no_such_gateway",
    "provider_disabled",
    "gateway_disabled",
    "no_mapping",
    "overridden_by_workspace",
    "no_credential",
    "credential_disabled",
    "credential_not_for",
    "secret_does_not_fit",
    "no_address",
    "no_login",
    "limit_reached",
    "key_in_use",
    "refused NoSuchGateway",
    "refused NotOffered",
    "refused ConfigInvalid",
    "refused LimitReached",
    "refused KeyInUse",
    "offered by Id",
    "offered by LeastUsed",
    "offered by LeastUsed, not in order of id",
    "offered by ScopeFirst",
    "offered by ScopeFirst, not in order of id",
    "offered on an account",
];

fn words(world: &World, verdict: &Verdict) -> Vec<String> {
    let usable = match verdict {
        Verdict::Offered(usable) => usable,
        Verdict::Hidden(reasons, code) => {
            let reasons = reasons.iter().map(|it| it.as_str().to_owned());
            return reasons.chain([format!("refused {code:?}")]).collect();
        }
    };
    let first = world.records.credentials.iter().find(|it| it.id == usable[0].credential).unwrap();
    let policy = world.provider(first.provider_id).selection;
    let mut words = vec![format!("offered by {policy:?}")];
    if !usable.is_sorted_by_key(|it| it.credential) {
        words.push(format!("offered by {policy:?}, not in order of id"));
    }
    if usable.iter().any(|it| it.account.is_some()) {
        words.push("offered on an account".to_owned());
    }
    words
}

/// Every gateway, and one that is not there.
fn asked(world: &World) -> impl Iterator<Item = GatewayId> {
    let unknown = lab::gateway_id(u128::MAX);
    world.records.gateways.iter().map(|it| it.id).chain([unknown])
}

/// The implementation's verdict, then the model's.
fn both(
    world: &World,
    catalog: &Catalog,
    subject: &Subject,
    gateway: GatewayId,
) -> (Verdict, Verdict) {
    let found = match explain(catalog, &Counts::new(world, catalog), subject, gateway) {
        Ok(offer) => Verdict::Offered(usable(offer)),
        Err(reasons) => {
            let code = why::code(&reasons);
            Verdict::Hidden(sorted(reasons), code)
        }
    };
    let expected = match verdict(world, subject, gateway) {
        Verdict::Offered(usable) => Verdict::Offered(usable),
        Verdict::Hidden(reasons, code) => Verdict::Hidden(sorted(reasons), code),
    };
    (found, expected)
}

fn usable(offer: Offer) -> Vec<Usable> {
    let candidates = offer.candidates.into_iter();
    candidates
        .map(|it| Usable { credential: it.credential, limit: it.limit, account: it.account })
        .collect()
}

fn sorted(mut reasons: Vec<Why>) -> Vec<Why> {
    reasons.sort_by_key(|it| format!("{it:?}"));
    reasons
}

//! Any history of claims, releases and deaths keeps every limit and loses no slot.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use egress_core::catalog::InUse;
use egress_core::id::ProviderId;
use egress_core::wireguard::ConflictKey;
use proptest::prelude::*;

use super::*;

const LIMITS: [Option<u32>; 4] = [Some(1), Some(2), Some(3), None];
/// Credentials 1 and 2 share an account.
const ACCOUNT_LIMIT: u32 = 2;

#[derive(Debug, Clone)]
enum Step {
    Claim { session: u8, candidates: Vec<u8>, key: Option<u8> },
    Release { session: u8 },
    Save { session: u8 },
    Forget { session: u8 },
    Orphans,
    Reopen,
    Crash,
}

fn step() -> impl Strategy<Value = Step> {
    let session = 0..8u8;
    let candidates = prop::collection::vec(0..4u8, 1..4);
    prop_oneof![
        8 => (session.clone(), candidates, prop::option::of(0..3u8)).prop_map(
            |(session, candidates, key)| Step::Claim { session, candidates, key }
        ),
        4 => session.clone().prop_map(|session| Step::Release { session }),
        2 => session.clone().prop_map(|session| Step::Save { session }),
        1 => session.prop_map(|session| Step::Forget { session }),
        1 => Just(Step::Orphans),
        1 => Just(Step::Reopen),
        1 => Just(Step::Crash),
    ]
}

fn provider() -> ProviderId {
    ProviderId::from_bytes([1; 16])
}

fn offered(number: u8, key: Option<u8>) -> Candidate {
    let in_account = number == 1 || number == 2;
    Candidate {
        limit: if in_account { Some(ACCOUNT_LIMIT) } else { LIMITS[usize::from(number)] },
        account: in_account.then(|| (provider(), String::from("acme"))),
        conflict_keys: key.map(|key| ConflictKey([key; 32])).into_iter().collect(),
        ..candidate(number, None)
    }
}

/// What a store should hold, written down the simplest way.
#[derive(Default)]
struct Model {
    held: BTreeMap<u8, (u8, Option<u8>)>,
    rows: BTreeSet<u8>,
}

impl Model {
    fn count(&self, credentials: &[u8]) -> u32 {
        let counts = self.held.values().filter(|(credential, _)| credentials.contains(credential));
        u32::try_from(counts.count()).unwrap()
    }

    fn has_room(&self, number: u8) -> bool {
        match number {
            1 | 2 => self.count(&[1, 2]) < ACCOUNT_LIMIT,
            _ => LIMITS[usize::from(number)].is_none_or(|limit| self.count(&[number]) < limit),
        }
    }

    fn key_is_live(&self, key: Option<u8>) -> bool {
        key.is_some() && self.held.values().any(|(_, live)| *live == key)
    }

    fn expected(&self, session: u8, candidates: &[u8], key: Option<u8>) -> Expected {
        if let Some((credential, live)) = self.held.get(&session) {
            let asked = candidates.contains(credential) && *live == key;
            return if asked { Expected::Taken(*credential) } else { Expected::HoldsAnother };
        }
        let with_room: Vec<u8> =
            candidates.iter().copied().filter(|number| self.has_room(*number)).collect();
        match with_room.first() {
            Some(_) if self.key_is_live(key) => Expected::KeyInUse,
            Some(first) => Expected::Taken(*first),
            None => Expected::LimitReached,
        }
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Expected {
    Taken(u8),
    LimitReached,
    KeyInUse,
    HoldsAnother,
}

fn seen(claim: &Claim) -> Expected {
    match claim {
        Claim::Taken { credential, .. } => Expected::Taken(credential.as_bytes()[0]),
        Claim::LimitReached => Expected::LimitReached,
        Claim::KeyInUse => Expected::KeyInUse,
        Claim::HoldsAnother { .. } => Expected::HoldsAnother,
    }
}

fn name(number: u8) -> SessionId {
    session(&format!("s{number}"))
}

struct Run<G> {
    ground: G,
    store: Arc<dyn Store>,
    model: Model,
}

impl<G: Ground> Run<G> {
    fn new() -> Self {
        let ground = G::new();
        Self { store: ground.open(), ground, model: Model::default() }
    }

    async fn take(&mut self, step: Step) {
        match step {
            Step::Claim { session, candidates, key } => self.claim(session, &candidates, key).await,
            Step::Release { session } => {
                self.store.release(&name(session), Duration::ZERO).await.unwrap();
                self.model.held.remove(&session);
            }
            Step::Save { session } => {
                self.store.save(&row(name(session).as_str())).await.unwrap();
                self.model.rows.insert(session);
            }
            Step::Forget { session } => {
                self.store.forget(&name(session)).await.unwrap();
                self.model.rows.remove(&session);
            }
            Step::Orphans => {
                self.store.release_orphans().await.unwrap();
                let rows = &self.model.rows;
                self.model.held.retain(|session, _| rows.contains(session));
            }
            Step::Reopen => {
                self.store.close().await;
                self.store = self.ground.open();
            }
            Step::Crash => {
                self.ground = self.ground.crashed();
                self.store = self.ground.open();
            }
        }
        self.check().await;
    }

    async fn claim(&mut self, session: u8, candidates: &[u8], key: Option<u8>) {
        let offers = candidates.iter().map(|number| offered(*number, key)).collect();
        let claim = self.store.claim(name(session), offers).await.unwrap();
        let expected = self.model.expected(session, candidates, key);
        assert_eq!(seen(&claim), expected);
        if let Expected::Taken(credential) = expected {
            self.model.held.entry(session).or_insert((credential, key));
        }
    }

    async fn check(&self) {
        let in_use = self.store.in_use();
        for number in 0..4 {
            assert_eq!(in_use.credential(credential(number)), self.model.count(&[number]));
        }
        assert_eq!(in_use.account(provider(), "acme"), self.model.count(&[1, 2]));
        for key in 0..3 {
            assert_eq!(
                in_use.key_taken(&ConflictKey([key; 32])),
                self.model.key_is_live(Some(key))
            );
        }
        let leases = self.store.leases().await.unwrap();
        let holders: BTreeSet<_> = leases.iter().map(|lease| lease.session().clone()).collect();
        assert_eq!(holders, self.model.held.keys().map(|session| name(*session)).collect());
        let slots: BTreeSet<_> = leases.iter().map(|it| (it.credential(), it.slot())).collect();
        assert_eq!(slots.len(), leases.len(), "two leases on one slot");
        assert_eq!(self.store.sessions().await.unwrap().len(), self.model.rows.len());
    }
}

fn no_history_breaks_a_limit_or_loses_a_slot<G: Ground>(steps: Vec<Step>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let mut run = Run::<G>::new();
        for step in steps {
            run.take(step).await;
        }
        for session in 0..8 {
            run.take(Step::Release { session }).await;
        }
        assert_eq!(*run.store.in_use(), InUseSnapshot::default());
    });
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_000, ..ProptestConfig::default() })]

    #[test]
    fn no_history_breaks_a_limit_in_memory(steps in prop::collection::vec(step(), 1..60)) {
        no_history_breaks_a_limit_or_loses_a_slot::<Memory>(steps);
    }

    #[test]
    fn no_history_breaks_a_limit_in_sqlite(steps in prop::collection::vec(step(), 1..60)) {
        no_history_breaks_a_limit_or_loses_a_slot::<Fixture>(steps);
    }
}

//! A second engine, the simplest there is: a few maps behind a lock.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use egress_core::catalog::{RecordId, Records};
use futures_util::FutureExt as _;
use futures_util::future::{BoxFuture, ready};
use tokio::sync::watch;

use super::*;
use crate::store::in_use::{Change, Held};

/// A "disk": what is opened again finds what was there.
#[derive(Clone)]
pub struct Memory(Arc<Mutex<Disk>>);

#[derive(Clone)]
struct Disk {
    catalog: Arc<Catalog>,
    named_by: BTreeMap<RecordId, String>,
    leases: BTreeMap<i64, Slot>,
    last_lease: i64,
    rows: BTreeMap<SessionId, SessionRow>,
    wall_clocks: BTreeMap<[u8; 32], u64>,
    starts: u32,
}

/// A lease, and what of it others do not need to know.
#[derive(Clone)]
struct Slot {
    held: Held,
    number: u32,
    committed: bool,
    cools_until: Option<Instant>,
}

impl Ground for Memory {
    fn new() -> Self {
        let (catalog, _) = Catalog::new(Records::default()).unwrap();
        Self(Arc::new(Mutex::new(Disk {
            catalog: Arc::new(catalog),
            named_by: BTreeMap::new(),
            leases: BTreeMap::new(),
            last_lease: 0,
            rows: BTreeMap::new(),
            wall_clocks: BTreeMap::new(),
            starts: 0,
        })))
    }

    fn open(&self) -> Arc<dyn Store> {
        let mut disk = lock(&self.0);
        disk.starts += 1;
        let catalog_tx = watch::Sender::new(Arc::clone(&disk.catalog));
        let in_use_tx = watch::Sender::new(Arc::new(disk.in_use()));
        let engine = Engine {
            disk: Arc::clone(&self.0),
            starts: disk.starts,
            tunnel_ids: AtomicU64::new(u64::from(disk.starts) << 32),
            catalog: catalog_tx.subscribe(),
            in_use: in_use_tx.subscribe(),
            told: Arc::new(Mutex::new(Some((catalog_tx, in_use_tx)))),
        };
        for until in disk.leases.values().filter_map(|slot| slot.cools_until) {
            engine.free_at(until);
        }
        Arc::new(engine)
    }

    fn crashed(&self) -> Self {
        Self(Arc::new(Mutex::new(lock(&self.0).clone())))
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Disk {
    fn in_use(&self) -> InUseSnapshot {
        let mut in_use = InUseSnapshot::default();
        for (id, slot) in &self.leases {
            in_use.apply(Change::Held(*id, slot.held.clone()));
        }
        in_use
    }

    fn of(&self, session: &SessionId) -> Option<i64> {
        let has = |slot: &Slot| slot.held.session.as_ref() == Some(session);
        self.leases.iter().find(|(_, slot)| has(slot)).map(|(id, _)| *id)
    }

    fn claim(&mut self, session: &SessionId, candidates: &[Candidate]) -> Claim {
        if let Some(slot) = self.of(session).map(|id| &self.leases[&id]) {
            let credential = slot.held.credential;
            let keys: BTreeSet<_> = slot.held.keys.iter().collect();
            let same = candidates.iter().any(|candidate| {
                candidate.credential == credential
                    && keys == candidate.conflict_keys.iter().collect()
            });
            let lease = slot.lease();
            return if same {
                Claim::Taken { credential, lease }
            } else {
                Claim::HoldsAnother { credential }
            };
        }
        let mut refusal = Claim::LimitReached;
        for candidate in candidates.iter().filter(|candidate| self.has_room(candidate)) {
            if self.leases.values().any(|slot| shares_a_key(&slot.held, candidate)) {
                refusal = Claim::KeyInUse;
                continue;
            }
            return self.take(session, candidate);
        }
        refusal
    }

    fn has_room(&self, candidate: &Candidate) -> bool {
        let count = |counts: &dyn Fn(&Held) -> bool| {
            self.leases.values().filter(|slot| counts(&slot.held)).count()
        };
        let of_credential = count(&|held| held.credential == candidate.credential);
        let of_account =
            count(&|held| candidate.account.is_some() && held.account == candidate.account);
        let limit = candidate.limit.map_or(usize::MAX, |limit| limit as usize);
        of_credential < limit && of_account < limit
    }

    fn take(&mut self, session: &SessionId, candidate: &Candidate) -> Claim {
        let of_credential = self.leases.values();
        let taken: BTreeSet<u32> = of_credential
            .filter(|slot| slot.held.credential == candidate.credential)
            .map(|slot| slot.number)
            .collect();
        let number = (1..=u32::MAX).find(|number| !taken.contains(number)).unwrap();
        let held = Held {
            session: Some(session.clone()),
            credential: candidate.credential,
            account: candidate.account.clone(),
            keys: candidate.conflict_keys.clone(),
        };
        let slot = Slot { held, number, committed: false, cools_until: None };
        let lease = slot.lease();
        self.last_lease += 1;
        self.leases.insert(self.last_lease, slot);
        Claim::Taken { credential: candidate.credential, lease }
    }

    fn edit(&mut self, edit: Edit) {
        let Source { name, prunes } = edit.source;
        let named = self.named_by.iter().filter(|(_, source)| prunes && **source == name);
        let made = named.map(|(record, _)| record.clone()).collect();
        let Some(revision) = (edit.plan)(&self.catalog, &made) else { return };
        self.catalog = Arc::new(revision.catalog);
        let named = revision.named.into_iter();
        self.named_by.extend(named.map(|record| (record, name.clone())));
        let records = self.catalog.records();
        self.named_by.retain(|record, _| is_in(&records, record));
    }
}

fn is_in(records: &Records, record: &RecordId) -> bool {
    match record {
        RecordId::Provider(id) => records.providers.iter().any(|it| it.id == *id),
        RecordId::Gateway(id) => records.gateways.iter().any(|it| it.id == *id),
        RecordId::Mapping(id) => records.mappings.iter().any(|it| it.id == *id),
        RecordId::Credential(id) => records.credentials.iter().any(|it| it.id == *id),
        RecordId::Workspace(name) => records.workspaces.iter().any(|it| it.name == *name),
    }
}

fn shares_a_key(held: &Held, candidate: &Candidate) -> bool {
    held.keys.iter().any(|key| candidate.conflict_keys.contains(key))
}

impl Slot {
    fn lease(&self) -> Lease {
        Lease {
            session: self.held.session.clone().unwrap(),
            credential: self.held.credential,
            slot: self.number,
            committed: self.committed,
        }
    }
}

type Told = (watch::Sender<Arc<Catalog>>, watch::Sender<Arc<InUseSnapshot>>);

struct Engine {
    disk: Arc<Mutex<Disk>>,
    catalog: watch::Receiver<Arc<Catalog>>,
    in_use: watch::Receiver<Arc<InUseSnapshot>>,
    /// `None` once it is closed.
    told: Arc<Mutex<Option<Told>>>,
    starts: u32,
    tunnel_ids: AtomicU64,
}

impl Engine {
    fn ask<T: Send + 'static>(
        &self,
        operation: &'static str,
        work: impl FnOnce(&mut Disk) -> T,
    ) -> Answer<'_, T> {
        let told = lock(&self.told);
        let Some(told) = &*told else {
            return ready(Err(StoreError::Unavailable { operation })).boxed();
        };
        let mut disk = lock(&self.disk);
        let answer = work(&mut disk);
        tell(told, &disk);
        ready(Ok(answer)).boxed()
    }

    fn free_at(&self, until: Instant) {
        let (told, disk) = (Arc::clone(&self.told), Arc::clone(&self.disk));
        tokio::spawn(async move {
            tokio::time::sleep_until(until.into()).await;
            let (told, mut disk) = (lock(&told), lock(&disk));
            let Some(told) = &*told else { return };
            let now = Instant::now();
            disk.leases.retain(|_, slot| slot.cools_until.is_none_or(|until| until > now));
            tell(told, &disk);
        });
    }
}

fn tell((catalog_tx, in_use_tx): &Told, disk: &Disk) {
    catalog_tx.send_if_modified(|catalog| {
        let differs = !Arc::ptr_eq(catalog, &disk.catalog);
        *catalog = Arc::clone(&disk.catalog);
        differs
    });
    in_use_tx.send_if_modified(|in_use| {
        let newest = disk.in_use();
        let differs = **in_use != newest;
        *in_use = Arc::new(newest);
        differs
    });
}

impl Store for Engine {
    fn catalog(&self) -> Arc<Catalog> {
        self.catalog.borrow().clone()
    }

    fn subscribe(&self) -> watch::Receiver<Arc<Catalog>> {
        self.catalog.clone()
    }

    fn edit(&self, edit: Edit) -> Answer<'_, ()> {
        self.ask(edit.operation, |disk| disk.edit(edit))
    }

    fn claim(&self, session: SessionId, candidates: Vec<Candidate>) -> Answer<'_, Claim> {
        self.ask("claim", |disk| disk.claim(&session, &candidates))
    }

    fn commit(&self, session: &SessionId) -> Answer<'_, ()> {
        self.ask("commit", |disk| {
            if let Some(lease) = disk.of(session) {
                disk.leases.get_mut(&lease).unwrap().committed = true;
            }
        })
    }

    fn release(&self, session: &SessionId, cool_for: Duration) -> Answer<'_, ()> {
        let until = Instant::now() + cool_for;
        self.ask("release", |disk| {
            let Some(lease) = disk.of(session) else { return };
            if cool_for.is_zero() {
                disk.leases.remove(&lease);
                return;
            }
            let slot = disk.leases.get_mut(&lease).unwrap();
            slot.held.session = None;
            slot.cools_until = Some(until);
            self.free_at(until);
        })
    }

    fn leases(&self) -> Answer<'_, Vec<Lease>> {
        self.ask("leases", |disk| {
            let held = disk.leases.values().filter(|slot| slot.held.session.is_some());
            held.map(Slot::lease).collect()
        })
    }

    fn release_orphans(&self) -> Answer<'_, Vec<SessionId>> {
        self.ask("release orphans", |disk| {
            let rows = &disk.rows;
            let is_orphan = |slot: &mut Slot| {
                let row = slot.held.session.as_ref().map(|session| rows.get(session));
                row.is_some_and(|row| row.is_none_or(|row| row.state == SessionState::Blocked))
            };
            let ended = disk.leases.extract_if(.., |_, slot| is_orphan(slot));
            ended.filter_map(|(_, slot)| slot.held.session).collect()
        })
    }

    fn in_use(&self) -> Arc<InUseSnapshot> {
        self.in_use.borrow().clone()
    }

    fn watch_in_use(&self) -> watch::Receiver<Arc<InUseSnapshot>> {
        self.in_use.clone()
    }

    fn save(&self, row: &SessionRow) -> Answer<'_, ()> {
        self.ask("save", |disk| drop(disk.rows.insert(row.id().clone(), row.clone())))
    }

    fn forget(&self, session: &SessionId) -> Answer<'_, ()> {
        self.ask("forget", |disk| drop(disk.rows.remove(session)))
    }

    fn session_ids(&self) -> Answer<'_, Vec<(SessionId, u64)>> {
        self.ask("session ids", |disk| {
            disk.rows.values().map(|row| (row.id().clone(), row.created_at)).collect()
        })
    }

    fn sessions(&self) -> Answer<'_, Vec<SessionRow>> {
        self.ask("sessions", |disk| {
            let mut rows: Vec<_> = disk.rows.values().cloned().collect();
            rows.sort_by_key(|row| row.created_at);
            rows
        })
    }

    fn starts(&self) -> u32 {
        self.starts
    }

    fn next_tunnel_id(&self) -> u64 {
        self.tunnel_ids.fetch_add(1, Ordering::Relaxed)
    }

    fn note_wall_clock(&self, wireguard_key: [u8; 32], unix_s: u64) -> Answer<'_, u64> {
        self.ask("note the wall clock", |disk| {
            let newest = disk.wall_clocks.entry(wireguard_key).or_default();
            *newest = unix_s.max(*newest);
            *newest
        })
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        *lock(&self.told) = None;
        ready(()).boxed()
    }
}

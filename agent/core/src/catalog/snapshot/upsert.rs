//! Records of one kind as a snapshot leaves them: found by their external ids, changed, added, or
//! withdrawn.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::catalog::check::NAME_MAX;
use crate::catalog::document::plan::record::Record;
use crate::catalog::model::{Credential, Gateway, Withdrawn};
use crate::id::ProviderId;

/// What a push does to records of one kind, by their external ids.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Difference {
    /// Were not there.
    pub created: Vec<String>,
    /// Were different.
    pub updated: Vec<String>,
    /// Are left out for the first time, and disabled by that.
    pub withdrawn: Vec<String>,
    /// Had been left out, and are enabled again if they were before.
    pub returned: Vec<String>,
    /// Were as the snapshot says already.
    pub unchanged: u32,
}

/// A record that a plugin service may have.
pub(super) trait Managed: Record {
    fn provider(&self) -> ProviderId;
    fn external_id(&self) -> Option<&String>;
    fn name_mut(&mut self) -> &mut String;
    fn enabled(&mut self) -> &mut bool;
    fn withdrawn(&mut self) -> &mut Option<Withdrawn>;
}

macro_rules! managed {
    ($record:ty) => {
        impl Managed for $record {
            fn provider(&self) -> ProviderId {
                self.provider_id
            }

            fn external_id(&self) -> Option<&String> {
                self.external_id.as_ref()
            }

            fn name_mut(&mut self) -> &mut String {
                &mut self.name
            }

            fn enabled(&mut self) -> &mut bool {
                &mut self.enabled
            }

            fn withdrawn(&mut self) -> &mut Option<Withdrawn> {
                &mut self.withdrawn
            }
        }
    };
}

managed!(Gateway);
managed!(Credential);

/// What a snapshot's entry is to the records there are.
pub(super) enum Former {
    /// Nothing has its external id.
    None,
    /// The record at this place has it.
    At(usize),
    /// Several records have it.
    Several,
}

/// Records of one kind, becoming those that a push leaves.
pub(super) struct Upsert<R> {
    provider: ProviderId,
    pub records: Vec<R>,
    /// Where the record of an external id is; `None` where several have it.
    known: BTreeMap<String, Option<usize>>,
    /// The places of records that the snapshot has.
    named: BTreeSet<usize>,
    pub difference: Difference,
}

impl<R: Managed> Upsert<R> {
    pub fn new(records: Vec<R>, provider: ProviderId) -> Self {
        let mut known = BTreeMap::new();
        for (at, record) in records.iter().enumerate() {
            let ours = record.provider() == provider;
            let Some(external_id) = record.external_id().filter(|_| ours) else { continue };
            known.entry(external_id.clone()).and_modify(|it| *it = None).or_insert(Some(at));
        }
        let difference = Difference::default();
        Self { provider, records, known, named: BTreeSet::new(), difference }
    }

    pub fn former(&self, external_id: &str) -> Former {
        match self.known.get(external_id) {
            None => Former::None,
            Some(Some(at)) => Former::At(*at),
            Some(None) => Former::Several,
        }
    }

    /// A record that is not there yet.
    pub fn add(&mut self, external_id: &str, mut record: R) {
        *record.version() = 1;
        let at = self.records.len();
        self.records.push(record);
        self.known.insert(external_id.to_owned(), Some(at));
        self.named.insert(at);
        self.difference.created.push(external_id.to_owned());
    }

    /// The record at this place, as the snapshot has it. Who switched it on or off is not the
    /// snapshot: that stays.
    pub fn replace(&mut self, at: usize, external_id: &str, mut record: R) {
        self.named.insert(at);
        record.inherit(&self.records[at]);
        let back = record.withdrawn().take();
        if back.is_some_and(|withdrawn| withdrawn.was_enabled) {
            *record.enabled() = true;
        }
        if record == self.records[at] {
            self.difference.unchanged += 1;
            return;
        }
        *record.version() += 1;
        self.records[at] = record;
        let list = if back.is_some() {
            &mut self.difference.returned
        } else {
            &mut self.difference.updated
        };
        list.push(external_id.to_owned());
    }

    /// Withdraws what the snapshot has left out.
    pub fn withdraw_others(&mut self) {
        let left_out =
            self.known.iter().filter_map(|(external_id, at)| Some((external_id, (*at)?)));
        for (external_id, at) in left_out.filter(|(_, at)| !self.named.contains(at)) {
            let record = &mut self.records[at];
            if record.withdrawn().is_some() {
                continue;
            }
            *record.withdrawn() = Some(Withdrawn { was_enabled: *record.enabled() });
            *record.enabled() = false;
            *record.version() += 1;
            self.difference.withdrawn.push(external_id.clone());
        }
        self.give_way();
    }

    /// Lets records that are withdrawn have other names than those that are not: a service that
    /// replaces a server by another gives that the same name.
    fn give_way(&mut self) {
        let (provider, named) = (self.provider, &self.named);
        let ours = || (0..).zip(&self.records).filter(|(_, record)| record.provider() == provider);
        let wanted: BTreeSet<_> =
            ours().filter(|(at, _)| named.contains(at)).map(|(_, record)| record.name()).collect();
        let in_the_way: Vec<usize> = ours()
            .filter(|(at, record)| !named.contains(at) && wanted.contains(&record.name()))
            .map(|(at, _)| at)
            .collect();
        let mut taken: BTreeSet<_> = ours().map(|(_, record)| record.name()).collect();
        for at in in_the_way {
            let record = &mut self.records[at];
            if record.withdrawn().is_none() {
                continue;
            }
            let name = record.name_mut().clone();
            for number in 1.. {
                *record.name_mut() = aside(&name, number);
                if taken.insert(record.name()) {
                    break;
                }
            }
            *record.version() += 1;
        }
    }
}

/// The `number`th name for something that was called `name`.
fn aside(name: &str, number: u32) -> String {
    let end =
        if number == 1 { " (withdrawn)".to_owned() } else { format!(" (withdrawn {number})") };
    let start: String = name.chars().take(NAME_MAX - end.len()).collect();
    start + &end
}

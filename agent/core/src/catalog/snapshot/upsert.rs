//! Records of one kind as a snapshot leaves them: found by their external ids, changed, added, or
//! withdrawn.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::catalog::check::NAME_MAX;
use crate::catalog::document::plan::record::Record;
use crate::catalog::edits::EditsOf;
use crate::catalog::model::{Credential, Gateway, Withdrawn};

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
    fn external_id(&self) -> Option<&String>;
    fn name_mut(&mut self) -> &mut String;
    fn enabled(&mut self) -> &mut bool;
    fn withdrawn(&mut self) -> &mut Option<Withdrawn>;
}

macro_rules! managed {
    ($record:ty) => {
        impl Managed for $record {
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
pub(super) enum Former<'a, R: Record> {
    /// Nothing has its external id.
    None,
    /// An entry before it has made this record.
    Made(R::Key),
    /// This record has it.
    One(&'a R),
    /// Several records have it.
    Several,
}

/// What becomes of a provider's records of one kind by a push.
pub(super) struct Upsert<'a, R: Record> {
    /// All that the provider has of them.
    there: Vec<&'a R>,
    /// The record of an external id; `None` where several have it.
    known: BTreeMap<&'a str, Option<&'a R>>,
    /// Records that are new or different.
    pub edits: EditsOf<R::Key, R>,
    /// The records that the snapshot has made, by their external ids.
    made: BTreeMap<String, R::Key>,
    /// The records that the snapshot has.
    named: BTreeSet<R::Key>,
    pub difference: Difference,
}

impl<'a, R: Managed> Upsert<'a, R> {
    /// Of these, which are the provider's.
    pub fn new(there: Vec<&'a R>) -> Self {
        let mut known = BTreeMap::new();
        for record in &there {
            let Some(external_id) = record.external_id() else { continue };
            known.entry(external_id.as_str()).and_modify(|it| *it = None).or_insert(Some(*record));
        }
        let difference = Difference::default();
        let (made, named) = (BTreeMap::new(), BTreeSet::new());
        Self { there, known, edits: EditsOf::new(), made, named, difference }
    }

    pub fn former(&self, external_id: &str) -> Former<'a, R> {
        match self.known.get(external_id) {
            None => match self.made.get(external_id) {
                Some(key) => Former::Made(key.clone()),
                None => Former::None,
            },
            Some(Some(record)) => Former::One(record),
            Some(None) => Former::Several,
        }
    }

    /// A record that is not there yet.
    pub fn add(&mut self, external_id: &str, mut record: R) {
        *record.version_mut() = 1;
        self.made.insert(external_id.to_owned(), record.key());
        self.named.insert(record.key());
        self.edits.insert(record.key(), Some(record));
        self.difference.created.push(external_id.to_owned());
    }

    /// A record that is as the snapshot says already.
    pub fn keep(&mut self, record: &R) {
        self.named.insert(record.key());
        self.difference.unchanged += 1;
    }

    /// The record, as the snapshot has it. Who switched it on or off is not the snapshot: that stays.
    pub fn replace(&mut self, former: &R, external_id: &str, mut record: R) {
        record.inherit(former);
        let back = record.withdrawn().take();
        if back.is_some_and(|withdrawn| withdrawn.was_enabled) {
            *record.enabled() = true;
        }
        if record == *former {
            return self.keep(former);
        }
        self.named.insert(former.key());
        *record.version_mut() += 1;
        self.edits.insert(record.key(), Some(record));
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
            self.known.iter().filter_map(|(external_id, it)| Some((external_id, (*it)?)));
        for (external_id, former) in left_out.filter(|(_, it)| !self.named.contains(&it.key())) {
            let mut record = former.clone();
            if record.withdrawn().is_some() {
                continue;
            }
            *record.withdrawn() = Some(Withdrawn { was_enabled: *record.enabled() });
            *record.enabled() = false;
            *record.version_mut() += 1;
            self.edits.insert(record.key(), Some(record));
            self.difference.withdrawn.push((*external_id).to_owned());
        }
        self.give_way();
    }

    /// Lets records that are withdrawn have other names than those that are not: a service that
    /// replaces a server by another gives that the same name.
    fn give_way(&mut self) {
        let new = self.edits.values().flatten().filter(|it| self.named.contains(&it.key()));
        let kept = self.there.iter().copied().filter(|it| self.named.contains(&it.key()));
        let kept = kept.filter(|it| !self.edits.contains_key(&it.key()));
        let wanted: BTreeSet<_> = kept.chain(new).map(Record::name).collect();
        let others = self.there.iter().filter(|it| !self.named.contains(&it.key()));
        let in_the_way: Vec<&R> =
            others.copied().filter(|it| wanted.contains(&it.name())).collect();
        if in_the_way.is_empty() {
            return;
        }
        let mut taken: BTreeSet<_> = self.there.iter().map(|it| it.name()).chain(wanted).collect();
        for former in in_the_way {
            let edited = self.edits.get(&former.key()).cloned().flatten();
            let mut record = edited.unwrap_or_else(|| former.clone());
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
            *record.version_mut() += 1;
            self.edits.insert(record.key(), Some(record));
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

//! A sorted map whose versions share what is the same in them.

use std::borrow::Borrow;
use std::cmp::Ordering;
use std::fmt;
use std::sync::Arc;

/// The most entries of a chunk. A change copies one chunk, and one pointer for each other.
const CHUNK: usize = 128;

/// A map in the order of its keys. A clone shares every entry with it; a change of either copies
/// the chunk that it is in and leaves the others shared.
pub(super) struct Sorted<K, V> {
    /// None is empty; all keys of a chunk come before those of the next.
    chunks: Arc<Vec<Arc<Chunk<K, V>>>>,
}

type Chunk<K, V> = Vec<(K, V)>;

impl<K, V> Sorted<K, V> {
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = (&K, &V)> {
        self.chunks.iter().flat_map(|chunk| chunk.iter().map(|(key, value)| (key, value)))
    }

    pub fn values(&self) -> impl DoubleEndedIterator<Item = &V> {
        self.iter().map(|(_, value)| value)
    }

    pub fn get<Q: Ord + ?Sized>(&self, key: &Q) -> Option<&V>
    where
        K: Borrow<Q>,
    {
        let before = |(it, _): &(K, V)| it.borrow() < key;
        let chunk = self.chunks.partition_point(|chunk| chunk.last().is_some_and(before));
        let chunk = self.chunks.get(chunk)?;
        let at = chunk.binary_search_by(|(it, _)| it.borrow().cmp(key)).ok()?;
        Some(&chunk[at].1)
    }

    /// The entries whose keys are neither before nor after what is looked for: keys are compared as
    /// the map's order has them, in as much as is known of them.
    pub fn range(&self, compare: impl Fn(&K) -> Ordering) -> impl Iterator<Item = (&K, &V)> {
        let before = |(key, _): &(K, V)| compare(key).is_lt();
        let first = self.chunks.partition_point(|chunk| chunk.last().is_some_and(before));
        let (begun, whole) = match self.chunks[first..].split_first() {
            Some((chunk, whole)) => (&chunk[chunk.partition_point(before)..], whole),
            None => (&[][..], &[][..]),
        };
        let entries = begun.iter().chain(whole.iter().flat_map(|chunk| chunk.iter()));
        entries.map(|(key, value)| (key, value)).take_while(move |(key, _)| compare(key).is_eq())
    }
}

impl<K: Ord + Clone, V: Clone> Sorted<K, V> {
    /// Puts a value in the place of the one that its key had.
    pub fn insert(&mut self, key: K, value: V) -> Option<V> {
        let chunks = Arc::make_mut(&mut self.chunks);
        let at = chunks.partition_point(|chunk| last(chunk) < Some(&key));
        if at == chunks.len() {
            match chunks.last_mut().filter(|chunk| chunk.len() < CHUNK) {
                Some(chunk) => Arc::make_mut(chunk).push((key, value)),
                None => chunks.push(Arc::new(vec![(key, value)])),
            }
            return None;
        }
        let chunk = Arc::make_mut(&mut chunks[at]);
        match chunk.binary_search_by(|(it, _)| it.cmp(&key)) {
            Ok(found) => Some(std::mem::replace(&mut chunk[found].1, value)),
            Err(place) => {
                chunk.insert(place, (key, value));
                if chunk.len() > CHUNK {
                    let second = chunk.split_off(CHUNK / 2);
                    chunks.insert(at + 1, Arc::new(second));
                }
                None
            }
        }
    }

    pub fn remove<Q: Ord + ?Sized>(&mut self, key: &Q) -> Option<V>
    where
        K: Borrow<Q>,
    {
        let before = |(it, _): &(K, V)| it.borrow() < key;
        let at = self.chunks.partition_point(|chunk| chunk.last().is_some_and(before));
        let found = self.chunks.get(at)?.binary_search_by(|(it, _)| it.borrow().cmp(key)).ok()?;
        let chunks = Arc::make_mut(&mut self.chunks);
        let chunk = Arc::make_mut(&mut chunks[at]);
        let (_, value) = chunk.remove(found);
        if chunk.is_empty() {
            chunks.remove(at);
        }
        Some(value)
    }

    /// The values of every key that are not the `same` in `former` and here, in the order of the
    /// keys. What both share is not looked at.
    pub fn since<'a>(
        &'a self,
        former: &'a Self,
        same: impl Fn(&V, &V) -> bool,
    ) -> Vec<Versions<'a, V>> {
        let (mut old, mut new) = (Cursor::new(former), Cursor::new(self));
        let mut differences = Vec::new();
        loop {
            if let (Some(one), Some(another)) = (old.chunk_begun(), new.chunk_begun())
                && Arc::ptr_eq(one, another)
            {
                old.skip_chunk();
                new.skip_chunk();
                continue;
            }
            let order = match (old.entry(), new.entry()) {
                (None, None) => return differences,
                (Some(_), None) => Ordering::Less,
                (None, Some(_)) => Ordering::Greater,
                (Some((one, _)), Some((another, _))) => one.cmp(another),
            };
            let before = if order.is_le() { old.next() } else { None };
            let now = if order.is_ge() { new.next() } else { None };
            if !before.zip(now).is_some_and(|(before, now)| same(before, now)) {
                differences.push(Versions { before, now });
            }
        }
    }
}

/// What a key had and has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Versions<'a, V> {
    /// `None`: it is new.
    pub before: Option<&'a V>,
    /// `None`: it is gone.
    pub now: Option<&'a V>,
}

fn last<K, V>(chunk: &Chunk<K, V>) -> Option<&K> {
    chunk.last().map(|(key, _)| key)
}

/// A place in a map.
struct Cursor<'a, K, V> {
    chunks: &'a [Arc<Chunk<K, V>>],
    /// In the first chunk.
    at: usize,
}

impl<'a, K, V> Cursor<'a, K, V> {
    fn new(map: &'a Sorted<K, V>) -> Self {
        Self { chunks: &map.chunks, at: 0 }
    }

    fn entry(&self) -> Option<&'a (K, V)> {
        self.chunks.first().map(|chunk| &chunk[self.at])
    }

    /// The chunk of which this is the first entry.
    fn chunk_begun(&self) -> Option<&'a Arc<Chunk<K, V>>> {
        self.chunks.first().filter(|_| self.at == 0)
    }

    fn skip_chunk(&mut self) {
        (self.chunks, self.at) = (&self.chunks[1..], 0);
    }

    /// Gives the value that is here, and goes on.
    fn next(&mut self) -> Option<&'a V> {
        let (_, value) = self.entry()?;
        self.at += 1;
        if self.at == self.chunks[0].len() {
            self.skip_chunk();
        }
        Some(value)
    }
}

impl<K, V> Clone for Sorted<K, V> {
    fn clone(&self) -> Self {
        Self { chunks: Arc::clone(&self.chunks) }
    }
}

impl<K, V> Default for Sorted<K, V> {
    fn default() -> Self {
        Self { chunks: Arc::default() }
    }
}

impl<K: fmt::Debug, V: fmt::Debug> fmt::Debug for Sorted<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use proptest::prelude::*;

    use super::*;

    /// `None` removes.
    type Change = (u16, Option<u8>);

    fn changes(most: usize) -> impl Strategy<Value = Vec<Change>> {
        let scattered = prop::collection::vec((0..600_u16, any::<Option<u8>>()), 0..most);
        let ascending = (0..600_u16, 0..most).prop_map(|(first, count)| {
            (first..).zip(std::iter::repeat_n(Some(1), count)).collect::<Vec<_>>()
        });
        prop_oneof![scattered, ascending]
    }

    fn change(map: &mut Sorted<u16, u8>, model: &mut BTreeMap<u16, u8>, (key, value): Change) {
        let (ours, theirs) = match value {
            Some(value) => (map.insert(key, value), model.insert(key, value)),
            None => (map.remove(&key), model.remove(&key)),
        };
        assert_eq!(ours, theirs, "what {key} had");
    }

    fn entries(map: &Sorted<u16, u8>) -> Vec<(u16, u8)> {
        map.iter().map(|(key, value)| (*key, *value)).collect()
    }

    proptest! {
        #[test]
        fn it_is_an_ordered_map_and_its_former_versions_stay_as_they_were(
            first in changes(800), second in changes(40),
        ) {
            let (mut map, mut model) = (Sorted::default(), BTreeMap::new());
            for it in first {
                change(&mut map, &mut model, it);
            }
            let (former, former_model) = (map.clone(), model.clone());
            for it in second {
                change(&mut map, &mut model, it);
            }

            prop_assert_eq!(entries(&map), model.clone().into_iter().collect::<Vec<_>>());
            prop_assert_eq!(entries(&former), former_model.clone().into_iter().collect::<Vec<_>>());
            for key in 0..620_u16 {
                prop_assert_eq!(map.get(&key), model.get(&key));
            }
            for ten in 0..62_u16 {
                let found: Vec<_> = map.range(|key| (key / 10).cmp(&ten)).map(|(k, _)| *k).collect();
                let meant: Vec<_> = model.range(ten * 10..ten * 10 + 10).map(|(k, _)| *k).collect();
                prop_assert_eq!(found, meant);
            }
            let keys: BTreeSet<_> = model.keys().chain(former_model.keys()).collect();
            let values = |key: &u16| (former_model.get(key), model.get(key));
            let differ: Vec<_> = keys.into_iter().map(values).filter(|(a, b)| a != b).collect();
            let since = map.since(&former, |a, b| a == b);
            let found: Vec<_> = since.into_iter().map(|it| (it.before, it.now)).collect();
            prop_assert_eq!(found, differ);
        }
    }

    #[test]
    fn a_change_leaves_everything_shared_that_is_not_beside_it() {
        let mut map = Sorted::default();
        (0..10_000_u32).for_each(|key| assert_eq!(map.insert(key, 0_u8), None));
        let mut other = map.clone();
        other.insert(5_000, 1);
        other.remove(&17);
        let shared = map.chunks.iter().zip(&*other.chunks).filter(|(a, b)| Arc::ptr_eq(a, b));
        assert_eq!(shared.count(), map.chunks.len() - 2);
        assert!(map.chunks.len() <= 10_000 / CHUNK + 1, "{} chunks", map.chunks.len());
    }
}

//! How far two catalogs are apart.

use std::cmp::Ordering;

use super::Catalog;

impl Catalog {
    /// How many records were added, changed and removed since `former`.
    pub fn changes_since(&self, former: &Self) -> usize {
        let (old, new) = (&former.records, &self.records);
        apart(&old.providers, &new.providers, |a, b| a.id.cmp(&b.id))
            + apart(&old.gateways, &new.gateways, |a, b| a.id.cmp(&b.id))
            + apart(&old.mappings, &new.mappings, |a, b| a.id.cmp(&b.id))
            + apart(&old.credentials, &new.credentials, |a, b| a.id.cmp(&b.id))
            + apart(&old.workspaces, &new.workspaces, |a, b| a.name.cmp(&b.name))
    }
}

/// Records that are in one of two lists, or in both and not the same. Both are in the order of
/// `compare`.
fn apart<T: PartialEq>(old: &[T], new: &[T], compare: impl Fn(&T, &T) -> Ordering) -> usize {
    let (mut old, mut new) = (old.iter().peekable(), new.iter().peekable());
    let mut count = 0;
    while let (Some(before), Some(after)) = (old.peek(), new.peek()) {
        match compare(before, after) {
            Ordering::Less => {
                old.next();
                count += 1;
            }
            Ordering::Greater => {
                new.next();
                count += 1;
            }
            Ordering::Equal => {
                count += usize::from(before != after);
                old.next();
                new.next();
            }
        }
    }
    count + old.count() + new.count()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn records(records: &[(u8, char)]) -> Vec<(u8, char)> {
        records.to_vec()
    }

    #[test]
    fn what_was_added_changed_and_removed_counts_once_each() {
        let old = records(&[(1, 'a'), (2, 'b'), (4, 'd'), (9, 'x')]);
        for (new, wanted) in [
            (old.clone(), 0),
            (records(&[(1, 'a'), (2, 'c'), (4, 'd'), (9, 'x')]), 1),
            (records(&[(0, 'a'), (2, 'b'), (3, 'c'), (4, 'd'), (9, 'x')]), 3),
            (records(&[]), 4),
        ] {
            assert_eq!(apart(&old, &new, |a, b| a.0.cmp(&b.0)), wanted, "{new:?}");
            assert_eq!(apart(&new, &old, |a, b| a.0.cmp(&b.0)), wanted, "{new:?}");
        }
    }
}

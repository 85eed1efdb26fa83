//! Lists in pages: so many entries of a list, from after the last one of the page before.

/// Which part of a list is wanted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Page {
    /// How many entries at most; all without.
    pub limit: Option<usize>,
    /// The `next` of the page before.
    pub after: Option<String>,
}

/// The page's entries of a list that is in the order of `key`, and the `next` of the page where
/// there are more. A key that is not in the list (any more) is as good as one that is.
pub(super) fn page<T>(
    list: Vec<T>,
    page: &Page,
    key: impl Fn(&T) -> String,
) -> (Vec<T>, Option<String>) {
    let first = match &page.after {
        Some(after) => list.partition_point(|entry| key(entry) <= *after),
        None => 0,
    };
    let limit = page.limit.unwrap_or(list.len());
    let has_more = list.len() - first > limit;
    let entries: Vec<T> = list.into_iter().skip(first).take(limit).collect();
    let next = entries.last().filter(|_| has_more).map(key);
    (entries, next)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn pages_together_are_the_whole_list(
            names in prop::collection::btree_set("[a-c]{0,3}", 0..20),
            limit in 1_usize..7,
        ) {
            let names: Vec<String> = names.into_iter().collect();
            let (mut all, mut after) = (Vec::new(), None);
            loop {
                let wanted = Page { limit: Some(limit), after };
                let (entries, next) = page(names.clone(), &wanted, String::clone);
                prop_assert!(entries.len() <= limit);
                all.extend(entries);
                after = next;
                if after.is_none() {
                    break;
                }
            }
            prop_assert_eq!(all, names);
        }
    }

    #[test]
    fn a_page_goes_on_where_its_last_entry_was_taken_away() {
        let list = vec!["a".to_owned(), "c".to_owned(), "d".to_owned()];
        let wanted = Page { limit: Some(1), after: Some("b".to_owned()) };
        assert_eq!(
            page(list, &wanted, String::clone),
            (vec!["c".to_owned()], Some("c".to_owned()))
        );
    }
}

//! Which usable credential is tried first.

use egress_core::catalog::{Records, SelectionPolicy};

use super::{ask, spoilt};
use crate::lab::{Counts, credential, credential_id};

#[test]
fn id_is_the_default_and_no_scope_outranks_another() {
    let records = spoilt(|it| {
        it.credentials = vec![
            credential(0x100, 1, "workspace:firefox"),
            credential(0xff, 1, "group:staff"),
            credential(2, 1, "user:ann"),
        ];
    });
    assert_eq!(SelectionPolicy::default(), SelectionPolicy::Id);
    assert_eq!(ask(records, &Counts::default()), Ok(vec![2, 0xff, 0x100]));
}

/// Four credentials in the order that the policy has them tried, two of which are in use.
fn order(selection: SelectionPolicy) -> Vec<u128> {
    let records: Records = spoilt(|it| {
        it.providers[0].selection = selection;
        it.credentials = vec![
            credential(1, 1, "group:staff"),
            credential(2, 1, "user:ann"),
            credential(3, 1, "workspace:firefox"),
            credential(4, 1, "workspace:firefox"),
        ];
    });
    let mut counts = Counts::default();
    counts.credentials.insert(credential_id(1), 2);
    counts.credentials.insert(credential_id(3), 1);
    ask(records, &counts).unwrap()
}

#[test]
fn id_is_ascending_order_of_id() {
    assert_eq!(order(SelectionPolicy::Id), [1, 2, 3, 4]);
}

#[test]
fn least_used_is_the_fewest_live_connections_first() {
    assert_eq!(order(SelectionPolicy::LeastUsed), [2, 4, 3, 1]);
}

#[test]
fn scope_first_is_the_workspaces_then_the_users_then_the_groups() {
    assert_eq!(order(SelectionPolicy::ScopeFirst), [3, 4, 2, 1]);
}

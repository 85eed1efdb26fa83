//! What a launch menu costs.

use egress_core::catalog::offers;

use crate::lab::{Counts, catalog};
use crate::large::{large, user};

#[test]
fn a_menu_asks_about_a_free_key_once_for_each_gateway() {
    let catalog = catalog(large());
    let counts = Counts::default();
    let menu = offers(&catalog, &counts, &user(7));
    assert!(menu.len() > 6_000, "{}", menu.len());
    assert_eq!(usize::try_from(*counts.key_questions.borrow()).unwrap(), menu.len());
}

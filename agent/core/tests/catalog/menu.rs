//! What a launch menu costs.

use egress_core::catalog::{Gateway, offers};
use egress_core::id::GatewayId;

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

#[test]
fn a_menu_is_by_provider_country_city_and_name() {
    let catalog = catalog(large());
    let records = catalog.records();
    let mut shown: Vec<_> = records.gateways.iter().collect();
    shown.sort_by_key(|gateway| catalog.menu_place(gateway.id));
    let words = |gateway: &Gateway| {
        let provider = catalog.provider(gateway.provider_id).unwrap();
        let Gateway { country, city, name, .. } = gateway;
        [provider.name.clone(), country.clone(), city.clone(), name.clone()]
    };
    assert!(shown.iter().map(|gateway| words(gateway)).is_sorted());
    assert_eq!(catalog.menu_place(GatewayId::from_bytes([9; 16])), None);
}

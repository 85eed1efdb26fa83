//! What a launch menu says, and what it costs.

use egress_core::api::{GatewayView, Health, HiddenGateway, OfferList, OfferView};
use egress_core::catalog::{Gateway, Menu};

use crate::lab::{Counts, ann, catalog, gateway_id, offers, records};
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
    let mut records = large();
    for (n, gateway) in records.gateways.iter_mut().enumerate() {
        gateway.country = ["SE", "DE", "NO"][n % 3].to_owned();
        gateway.city = format!("city {}", n * 7 % 11);
    }
    let catalog = catalog(records);
    let words = |gateway: &Gateway| {
        let provider = catalog.provider(gateway.provider_id).unwrap();
        let Gateway { country, city, name, .. } = gateway;
        [provider.name.clone(), country.clone(), city.clone(), name.clone()]
    };
    let counts = Counts::default();
    let shown: Vec<_> = Menu::of(&catalog, &counts, &user(7)).gateways().map(words).collect();
    assert!(shown.len() > 6_000 && shown.is_sorted());
}

#[test]
fn a_menu_is_sent_as_the_list_of_offers_that_it_is() {
    let mut records = records();
    "\"Ä\" \\".clone_into(&mut records.gateways[0].city);
    let health = |id| if id == gateway_id(1) { Health::Down } else { Health::Unknown };
    let view = |gateway: &Gateway| GatewayView {
        id: gateway.id,
        name: gateway.name.clone(),
        provider_id: gateway.provider_id,
        provider: "p1".to_owned(),
        country: gateway.country.clone(),
        city: gateway.city.clone(),
    };
    let offer = |gateway| OfferView { gateway: view(gateway), health: health(gateway.id) };
    let mut list = OfferList { offers: records.gateways.iter().map(offer).collect(), hidden: None };
    list.offers.sort_by(|a, b| a.gateway.city.cmp(&b.gateway.city));
    let hidden = HiddenGateway { gateway: view(&records.gateways[0]), reasons: Vec::new() };
    let catalog = catalog(records);
    let counts = Counts::default();
    for hidden in [None, Some(vec![hidden])] {
        list.hidden = hidden;
        let menu = Menu::of(&catalog, &counts, &ann());
        let json = menu.json(health, list.hidden.as_deref());
        assert_eq!(String::from_utf8(json).unwrap(), serde_json::to_string(&list).unwrap());
    }
    let nothing = Menu::of(&catalog, &counts, &user(1)).json(health, None);
    assert_eq!(nothing, br#"{"offers":[]}"#);
}

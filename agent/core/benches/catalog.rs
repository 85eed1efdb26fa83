//! How long a large catalog takes to be checked and to be asked for a launch menu.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "it measures"
)]
#![allow(dead_code, reason = "the tests use more of their laboratory")]

#[path = "../tests/catalog/lab.rs"]
mod lab;
#[path = "../tests/catalog/large.rs"]
mod large;

use std::time::{Duration, Instant};

use egress_core::api::Health;
use egress_core::catalog::{Catalog, Document, Gateway, Menu};
use egress_core::wireguard::ConflictKey;
use serde_json::json;

/// The launch menu's 99th percentile must not be above this.
const MENU_GOAL: Duration = Duration::from_millis(5);

fn main() {
    let records = large::large();
    let start = Instant::now();
    let (catalog, _) = Catalog::new(records).unwrap();
    println!("10,000 gateways, 1,000 credentials, 5,000 mappings checked in {:?}", start.elapsed());
    time_apply(&catalog);

    let mut counts = lab::Counts::default();
    counts.keys.extend((0..=u8::MAX).map(|n| ConflictKey([n; 32])));
    let mut times: Vec<_> = (0..1_000).map(|n| time_menu(&catalog, &counts, n % 250)).collect();
    times.sort();
    let (p50, p99) = (times[500], times[990]);
    let verdict = if p99 <= MENU_GOAL { "within" } else { "above" };
    println!("launch menu: p50 {p50:?}, p99 {p99:?}, {verdict} the goal of {MENU_GOAL:?}");
}

fn time_menu(catalog: &Catalog, counts: &lab::Counts, user: usize) -> Duration {
    let user = large::user(user);
    let start = Instant::now();
    let menu = Menu::of(catalog, counts, &user);
    let json = menu.json(|_| Health::Unknown, None);
    let took = start.elapsed();
    assert!(json.len() > 1_000_000);
    took
}

/// Applies every gateway again, with another city.
fn time_apply(catalog: &Catalog) {
    let gateway = |gateway: &Gateway| {
        json!({"provider": gateway.provider_id, "name": gateway.name, "city": "Borås",
               "config": gateway.config})
    };
    let gateways: Vec<_> = catalog.records().gateways.iter().map(gateway).collect();
    let body = json!({"gateway": gateways});
    let start = Instant::now();
    let (document, _) = Document::from_value(body).unwrap();
    let (plan, _) = document.against(catalog, || unreachable!("all are known")).unwrap();
    println!("{} gateways applied in {:?}", plan.updated.len(), start.elapsed());
}

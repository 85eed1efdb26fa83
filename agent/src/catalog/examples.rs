//! The example catalog in `configs/`, as `egressctl apply -f configs/catalog` would read it.

use std::path::Path;

use egress_core::catalog::{Catalog, Document, Menu, Subject};
use egress_core::fault::Severity;
use uuid::Uuid;

use super::file;
use crate::store::InUseSnapshot;

fn examples() -> Document {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("configs/catalog");
    file::read(&dir).expect("the examples have no fault").0
}

#[test]
fn the_example_files_have_each_record_for_either_protocol() {
    let document = examples();
    let counts = [
        document.providers.len(),
        document.gateways.len(),
        document.mappings.len(),
        document.credentials.len(),
        document.workspaces.len(),
    ];
    assert_eq!(counts, [2, 2, 2, 2, 1]);
}

#[test]
fn the_example_files_together_offer_their_gateways() {
    let plan = examples().against(&Catalog::default(), Uuid::now_v7);
    let (plan, findings) = plan.expect("the examples fit together");
    // What is left out of an `.ovpn` text is a note.
    assert!(findings.iter().all(|it| it.severity == Severity::Note), "{findings:?}");
    let subject = Subject {
        user: Some("ann".to_owned()),
        groups: vec!["All Users".to_owned()],
        workspace: Some("firefox".to_owned()),
    };
    let menu = Menu::of(&plan.catalog, &InUseSnapshot::default(), &subject);
    assert_eq!(menu.gateways().count(), 2);
}

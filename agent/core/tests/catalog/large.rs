//! A catalog as large as it gets.

use egress_core::catalog::{Records, Subject};

use crate::lab::{credential, gateway, mapping, provider, selected};

/// 20 providers with 500 gateways, 250 mappings and 50 credentials each. Users are `u0` to `u249`,
/// each with a mapping at every provider; the group `staff` has a credential at each.
pub fn large() -> Records {
    let mut records = Records::default();
    for at in 0..20 {
        records.providers.push(provider(at + 1));
    }
    for at in 0..10_000 {
        records.gateways.push(gateway(at + 1, at / 500 + 1));
    }
    for at in 0..5_000 {
        let provider = at / 250 + 1;
        let mut mapping = mapping(at + 1, provider, &format!("user:u{}", at % 250));
        if at % 3 == 0 {
            let first = (provider - 1) * 500 + 1;
            mapping.gateways = selected(&[first, first + 1, first + at % 500]);
        }
        records.mappings.push(mapping);
    }
    for at in 0..1_000 {
        let owner = if at % 50 == 0 { "group:staff".to_owned() } else { format!("user:u{at}") };
        records.credentials.push(credential(at + 1, at / 50 + 1, &owner));
    }
    records
}

pub fn user(n: usize) -> Subject {
    let groups = vec!["staff".to_owned()];
    Subject { user: Some(format!("u{n}")), groups, workspace: None }
}

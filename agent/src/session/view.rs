//! A session's row as the API shows it.

use std::collections::BTreeMap;

use egress_core::api::{GatewayView, SessionView, Timings};

use crate::store::SessionRow;

/// The view of a row.
pub fn view(
    row: &SessionRow,
    gateway: Option<&GatewayView>,
    timings: Option<Timings>,
) -> SessionView {
    SessionView {
        session_id: row.id().clone(),
        state: row.state,
        reason: row.reason.clone(),
        subject: row.request.subject.clone(),
        profile: row.request.profile,
        gateway: gateway.cloned(),
        credential_id: row.credential,
        credential_name: None,
        stale_credential: false,
        interface: row.interface.clone(),
        addresses: row.addresses.clone(),
        dns: row.dns.clone(),
        search: row.search.clone(),
        mtu: row.mtu,
        environment: gateway.map(environment).unwrap_or_default(),
        timings_ms: timings,
        created_at: row.created_at,
        unwritten: None,
        warnings: Vec::new(),
    }
}

/// The variables that a workspace's images know.
fn environment(gateway: &GatewayView) -> BTreeMap<String, String> {
    let variables = [
        ("PROVIDER_NAME", &gateway.provider),
        ("GATEWAY_NAME", &gateway.name),
        ("GATEWAY_COUNTRY", &gateway.country),
        ("GATEWAY_CITY", &gateway.city),
    ];
    variables.map(|(name, value)| (format!("KASM_EGRESS_{name}"), value.clone())).into()
}

//! All that an attach checks before it changes anything.

use std::sync::Arc;

use egress_core::api::{AttachRequest, DEADLINE_MAX_MS, GatewayView, Refusal};
use egress_core::catalog::Catalog;
use egress_core::fault::Finding;
use egress_core::id::GatewayId;
use egress_linux::netns::Netns;

use super::shell::Shell;
use super::{container, selection};
use crate::control::roles::Caller;

/// What a checked request works on.
pub struct Prepared {
    /// The container's namespace, held while it is being set up.
    pub netns: Arc<Netns>,
    /// The way out, for the replies.
    pub gateway: Option<GatewayView>,
}

/// Checks a request, without side effects: its values, its namespace, what it may use.
pub async fn prepare(
    shell: &Shell,
    request: &AttachRequest,
    caller: &Caller,
) -> Result<Prepared, Refusal> {
    let roots = &shell.sessions.netns_roots;
    let netns = container::open(&request.netns, roots, caller).await?;
    let interface = shell.sessions.interface.clone();
    container::must_be_empty(Arc::clone(&netns), interface).await?;
    let catalog = shell.store.catalog();
    selection::check(&catalog, &shell.store.in_use(), request)?;
    let gateway = request.gateway.and_then(|gateway| gateway_view(&catalog, gateway));
    Ok(Prepared { netns, gateway })
}

/// Faults of a request's values, all of them.
pub fn faults(request: &AttachRequest) -> Vec<Finding> {
    let mut faults = Vec::new();
    if !(1..=DEADLINE_MAX_MS).contains(&request.deadline_ms) {
        let text = format!("expected 1 to {DEADLINE_MAX_MS} milliseconds");
        faults.push(Finding::fault(text).about("deadline_ms"));
    }
    let subject = &request.subject;
    let names = [("subject.user", &subject.user), ("subject.workspace", &subject.workspace)];
    for (field, name) in names {
        if name.as_ref().is_some_and(String::is_empty) {
            faults.push(Finding::fault("expected a name, or nothing").about(field));
        }
    }
    faults
}

/// A gateway as launchers see it, while the catalog has it.
pub fn gateway_view(catalog: &Catalog, gateway: GatewayId) -> Option<GatewayView> {
    let (provider, gateway) = selection::gateway_of(catalog, gateway).ok()?;
    Some(GatewayView {
        id: gateway.id,
        name: gateway.name.clone(),
        provider_id: provider.id,
        provider: provider.name.clone(),
        country: gateway.country.clone(),
        city: gateway.city.clone(),
    })
}

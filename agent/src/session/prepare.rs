//! All that an attach checks before it changes anything.

use std::sync::Arc;

use egress_core::api::{AttachRequest, GatewayView, Refusal};
use egress_core::catalog::Catalog;
use egress_core::id::GatewayId;
use egress_linux::netns::Netns;

use super::emptiness::must_be_empty;
use super::shell::Shell;
use super::{container, selection};
use crate::control::caller::Caller;

/// What a checked request works on.
pub struct Prepared {
    /// The container's namespace, held while it is being set up.
    pub netns: Arc<Netns>,
    /// The way out, for the replies.
    pub gateway: Option<GatewayView>,
}

/// Checks a request, without side effects: what it may use, its namespace, which `hold` takes for
/// it by its cookie. Its values were checked where it came in.
pub async fn prepare(
    shell: &Shell,
    request: &AttachRequest,
    caller: &Caller,
    hold: impl FnOnce(u64) -> Result<(), Refusal>,
) -> Result<Prepared, Refusal> {
    let roots = &shell.sessions.netns_roots;
    let netns = container::open(&request.netns, roots, caller).await?;
    let catalog = shell.store.catalog();
    selection::check(&catalog, &shell.store.in_use(), request)?;
    let gateway = request.gateway.and_then(|gateway| gateway_view(&catalog, gateway));
    // First: what another session has in there is not the launcher's doing.
    hold(netns.cookie())?;
    must_be_empty(Arc::clone(&netns)).await?;
    Ok(Prepared { netns, gateway })
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

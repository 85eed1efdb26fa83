//! Which gateway and which credential a request gets.

use std::time::Duration;

use egress_core::api::{AttachRequest, Code, Refusal};
use egress_core::catalog::select::{self, Offer};
use egress_core::catalog::{Catalog, Egress, Gateway, Provider, ProviderType, Why, why};
use egress_core::fault::Finding;
use egress_core::id::{CredentialId, GatewayId, SessionId};
use egress_core::profile::Profile;

use super::shell::Shell;
use crate::store::{Claim, InUseSnapshot, Store, StoreError};
use crate::telemetry::chain;

/// Whether the request may be served now, and how. Nothing is changed.
pub fn check(
    catalog: &Catalog,
    in_use: &InUseSnapshot,
    request: &AttachRequest,
) -> Result<Option<Offer>, Refusal> {
    let Some(gateway) = request.gateway else {
        return gateway_not_required(catalog, request).map(|()| None);
    };
    let (provider, _) = gateway_of(catalog, gateway)?;
    if provider.kind == ProviderType::Custom {
        let detail = format!(
            "this agent attaches WireGuard and OpenVPN gateways; those of {} are neither",
            provider.name
        );
        return Err(Refusal::new(Code::UnsupportedType, detail));
    }
    select::explain(catalog, in_use, &request.subject, gateway)
        .map(Some)
        .map_err(|reasons| refusal(&reasons))
}

/// A gateway and its provider.
pub fn gateway_of(catalog: &Catalog, gateway: GatewayId) -> Result<(&Provider, &Gateway), Refusal> {
    let found = catalog.gateway(gateway).and_then(|gateway| {
        catalog.provider(gateway.provider_id).map(|provider| (provider, gateway))
    });
    found.ok_or_else(|| {
        let detail = format!("there is no gateway {gateway}: `egressctl offers` lists them");
        let fault = Finding::fault("expected the id of a gateway").about("gateway");
        Refusal::new(Code::NoSuchGateway, detail).with_faults(vec![fault])
    })
}

/// What a session got to connect with.
pub struct Claimed {
    /// The credential whose lease it has.
    pub credential: CredentialId,
    /// Which of the credential's secrets is in the profile.
    pub secret_version: u64,
    /// What the tunnel is made of.
    pub profile: Profile,
}

/// Takes a lease for the request and makes its profile.
pub async fn claim(shell: &Shell, request: &AttachRequest) -> Result<Claimed, Refusal> {
    let store = &*shell.store;
    let catalog = store.catalog();
    let offer = check(&catalog, &store.in_use(), request)?;
    let (Some(mut offer), Some(gateway)) = (offer, request.gateway) else {
        return Err(Refusal::new(Code::NoGateway, "no gateway was asked for"));
    };
    // One that was refused comes last: it is tried only because nothing else is left.
    offer.candidates.sort_by_key(|candidate| is_rejected(shell, &catalog, candidate.credential));
    let session = &request.session_id;
    let mut claim = claim_one(store, session, &offer).await?;
    if matches!(claim, Claim::HoldsAnother { .. }) {
        // From an attach that broke off; this one begins anew.
        let released = store.release(session, Duration::ZERO).await;
        released.map_err(|error| unavailable(&error))?;
        claim = claim_one(store, session, &offer).await?;
    }
    let credential = match claim {
        Claim::Taken { credential, .. } => credential,
        Claim::LimitReached => return Err(taken_meanwhile(Code::LimitReached)),
        Claim::KeyInUse => return Err(taken_meanwhile(Code::KeyInUse)),
        Claim::HoldsAnother { credential } => {
            let detail = format!("the session holds credential {credential} already");
            return Err(Refusal::new(Code::Internal, detail));
        }
    };
    // A change that was written before the lease does not know of this session.
    let catalog = store.catalog();
    select::keeps(&catalog, &request.subject, gateway, credential)
        .map_err(|reasons| refusal(&reasons))?;
    let profile = profile(&catalog, gateway, credential)?;
    let secret_version = catalog.credential(credential).map_or(0, |it| it.secret_version);
    Ok(Claimed { credential, secret_version, profile })
}

fn is_rejected(shell: &Shell, catalog: &Catalog, credential: CredentialId) -> bool {
    let credential = catalog.credential(credential);
    credential.is_some_and(|credential| shell.rejected.why(credential).is_some())
}

async fn claim_one(
    store: &dyn Store,
    session: &SessionId,
    offer: &Offer,
) -> Result<Claim, Refusal> {
    let claimed = store.claim(session.clone(), offer.candidates.clone()).await;
    claimed.map_err(|error| unavailable(&error))
}

/// What a gateway and a credential make together.
pub fn profile(
    catalog: &Catalog,
    gateway: GatewayId,
    credential: CredentialId,
) -> Result<Profile, Refusal> {
    Profile::merge(catalog, gateway, credential).map_err(|faults| {
        let detail = "the gateway's config and the credential do not make a tunnel";
        Refusal::new(Code::ConfigInvalid, detail).with_faults(faults.0)
    })
}

fn gateway_not_required(catalog: &Catalog, request: &AttachRequest) -> Result<(), Refusal> {
    match catalog.egress(request.subject.workspace.as_deref()) {
        Egress::Optional => Ok(()),
        Egress::Required => {
            let detail = "this workspace needs a gateway: name one, or make its egress optional";
            let fault = Finding::fault("expected the id of a gateway").about("gateway");
            Err(Refusal::new(Code::GatewayRequired, detail).with_faults(vec![fault]))
        }
    }
}

fn refusal(reasons: &[Why]) -> Refusal {
    let detail = reasons.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ");
    Refusal::new(why::code(reasons), detail)
}

fn taken_meanwhile(code: Code) -> Refusal {
    Refusal::new(code, "every usable credential was taken meanwhile; try again later")
}

/// The store did not answer.
pub fn unavailable(error: &StoreError) -> Refusal {
    Refusal::new(Code::StoreUnavailable, chain(error))
}

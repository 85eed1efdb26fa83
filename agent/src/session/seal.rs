//! Putting a policy in place in a container's namespace, and reading it back.

use std::sync::Arc;

use egress_core::api::{Code, Reason};
use egress_core::firewall::{self, Policy, Ruleset, TABLE};
use egress_linux::netns::{EnterError, Netns};
use egress_linux::nft::{self, NftError};
use tokio::task::spawn_blocking;

use crate::telemetry::chain;

/// Why a policy does not stand.
#[derive(Debug, thiserror::Error)]
pub enum SealError {
    /// The namespace could not be entered.
    #[error(transparent)]
    Enter(#[from] EnterError),
    /// The ruleset was not applied or read.
    #[error(transparent)]
    Nft(#[from] NftError),
    /// What the kernel holds is not what it was given.
    #[error("the ruleset in the kernel is not the one that was applied: {found}")]
    Different {
        /// What it holds.
        found: String,
    },
    /// A thread of ours died.
    #[error("applying the ruleset broke off")]
    Broken,
}

impl SealError {
    /// As the API tells it.
    pub fn reason(&self) -> Reason {
        Reason { code: Code::SealFailed, detail: chain(self) }
    }
}

/// Makes the policy so, in one transaction, and checks that the kernel says so too.
pub async fn apply(netns: Arc<Netns>, policy: &Policy) -> Result<(), SealError> {
    let ruleset = policy.ruleset();
    blocking(move || {
        netns.run(|| {
            nft::apply(&ruleset.to_string())?;
            check(&ruleset)
        })?
    })
    .await
}

/// Takes the ruleset away: the container is the launcher's again. None is fine.
pub async fn release(netns: Arc<Netns>) -> Result<(), SealError> {
    blocking(move || Ok(netns.run(|| nft::apply(&firewall::release()))??)).await
}

/// Whether the kernel holds this policy's ruleset.
pub async fn stands(netns: Arc<Netns>, policy: &Policy) -> bool {
    let ruleset = policy.ruleset();
    blocking(move || netns.run(|| check(&ruleset))?).await.is_ok()
}

fn check(wanted: &Ruleset) -> Result<(), SealError> {
    let table = nft::table(TABLE)?;
    let chains = table.as_ref().map(|table| table.chains.as_slice()).unwrap_or_default();
    let held = |name: &str, rules: usize| {
        chains.iter().any(|chain| {
            chain.name == name
                && chain.rules == rules
                && chain.hook.is_some()
                && chain.policy == Some(nft::Policy::Drop)
        })
    };
    if wanted.chains().all(|(name, rules)| held(name, rules)) {
        return Ok(());
    }
    Err(SealError::Different { found: format!("{table:?}") })
}

async fn blocking(
    work: impl FnOnce() -> Result<(), SealError> + Send + 'static,
) -> Result<(), SealError> {
    spawn_blocking(work).await.unwrap_or(Err(SealError::Broken))
}

//! Records that an import would take from somebody, or make another's: it is refused unless
//! `--replace` says that this is meant.

use egress_core::api::GatewayRecord;
use egress_core::catalog::{Document, Owner, RecordId};
use egress_core::fault::{Faults, Finding};

use super::failure::Failure;
use super::subject::owner_text;
use crate::catalog::import::Existing;
use crate::control::agent::ApplyMode;
use crate::control::client::Client;

/// What the agent has under a name, against what an import would put there.
pub struct Conflicts<'a> {
    /// The provider's name.
    pub name: &'a str,
    /// What there is of it.
    pub existing: &'a Existing,
    /// What somebody may say who does not mean `--replace`.
    pub otherwise: &'a str,
}

impl Conflicts<'_> {
    /// Refuses to take a provider, or credentials of it, from another owner.
    pub fn of_owner<'b>(
        &self,
        owner: &Owner,
        credentials: impl Iterator<Item = &'b str>,
    ) -> Result<(), Failure> {
        match self.existing.taken_from(owner, credentials) {
            Some(holder) => Err(self.refused(&format!("is {}'s", owner_text(holder)))),
            None => Ok(()),
        }
    }

    /// Refuses to give the records of one file another key, login or other servers.
    pub async fn of_content(
        &self,
        client: &Client,
        document: &Document,
        endpoints: &[String],
    ) -> Result<(), Failure> {
        if let Some(gateway) = self.existing.gateway_of(self.name) {
            let record: GatewayRecord = client.record(&RecordId::Gateway(gateway.id)).await?;
            if record.endpoints != endpoints {
                return Err(self.refused("is there with other servers"));
            }
        }
        let Some(credential) = self.existing.credential_of(self.name) else { return Ok(()) };
        match document.credentials.iter().find_map(|it| it.username.as_deref()) {
            Some(login) if login == credential.username.as_deref().unwrap_or_default() => Ok(()),
            Some(_) => Err(self.refused("is there with another login")),
            // A key is never shown, only whether it would change.
            None => {
                let mode = ApplyMode { dry_run: true, ..ApplyMode::default() };
                let report = client.apply(document, mode).await?;
                if report.updated.iter().any(|record| record.starts_with("credential ")) {
                    return Err(self.refused("is there with another key, address or resolver"));
                }
                Ok(())
            }
        }
    }

    fn refused(&self, how: &str) -> Failure {
        let Self { name, otherwise, .. } = self;
        let message = format!("{name} {how} already. {otherwise}; --replace takes it over");
        Failure::Faulty(Faults(vec![Finding::fault(message)]))
    }
}

//! Sessions whose records were taken away or replaced: which they are, and their end.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use egress_core::catalog::{Catalog, RecordId, Running};
use egress_core::id::SessionId;
use futures_util::future::join_all;

use super::lifeline::{Lifeline, Status};
use super::manager::Manager;

/// How long a call waits for sessions that it cut. They end all the same.
const CUT_PATIENCE: Duration = Duration::from_secs(20);

/// Sessions that would not come up the same way again, each with why.
pub type Outdated = Vec<(SessionId, String)>;

impl Manager {
    /// The sessions that a change of the catalog leaves without their ground, as far as one of the
    /// `named` records has to do with it. Those that are being connected are among them as soon as
    /// they hold a lease.
    pub fn outdated(
        &self,
        former: &Catalog,
        catalog: &Catalog,
        named: &BTreeSet<RecordId>,
    ) -> Outdated {
        let in_use = self.shell().store.in_use();
        let lifelines: BTreeMap<SessionId, Lifeline> = self.lifelines().into_iter().collect();
        let outdated = in_use.holders().filter_map(|(session, credential)| {
            let Status { view, secret_version, gateway, .. } = lifelines.get(session)?.status();
            let running =
                Running { subject: &view.subject, gateway: gateway?, credential, secret_version };
            Some((session.clone(), running.outdated_by(former, catalog, named)?))
        });
        outdated.collect()
    }

    /// Ends sessions: each is sealed, gives back what it holds, and is blocked with its reason.
    pub async fn cut(&self, outdated: &[(SessionId, String)]) {
        let lifelines: BTreeMap<SessionId, Lifeline> = self.lifelines().into_iter().collect();
        let ends = outdated.iter().filter_map(|(session, why)| {
            let lifeline = lifelines.get(session)?;
            Some(lifeline.cut(why.clone()))
        });
        let _ = tokio::time::timeout(CUT_PATIENCE, join_all(ends)).await;
    }
}

//! Credentials that servers do not take.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use egress_core::api::{Code, Reason, SessionState};
use egress_core::catalog::{Catalog, Credential};
use egress_core::id::CredentialId;

use crate::store::SessionRow;

/// Which credentials servers have refused since the agent started, and in which words. A change of
/// the credential takes the mark away, and so does a server that takes it. Clones are the same
/// board.
#[derive(Clone, Default)]
pub struct Rejected(Arc<Mutex<BTreeMap<CredentialId, Mark>>>);

struct Mark {
    /// The record's, when it was refused.
    version: u64,
    reason: Reason,
}

impl Rejected {
    /// Why the credential, as it is now, was refused.
    pub fn why(&self, credential: &Credential) -> Option<Reason> {
        let marks = self.marks();
        let mark = marks.get(&credential.id).filter(|mark| mark.version == credential.version);
        mark.map(|mark| mark.reason.clone())
    }

    /// Learns from a session's new state.
    pub fn learn(&self, row: &SessionRow, catalog: &Catalog) {
        let Some(credential) = row.credential.and_then(|id| catalog.credential(id)) else { return };
        // What was said about a former secret says nothing about this one.
        if row.secret_version != Some(credential.secret_version) {
            return;
        }
        match (row.state, &row.reason) {
            (SessionState::Connected, _) => {
                self.marks().remove(&credential.id);
            }
            (SessionState::Blocked, Some(reason)) if reason.code == Code::AuthFailed => {
                let mark = Mark { version: credential.version, reason: reason.clone() };
                self.marks().insert(credential.id, mark);
                self.forget_removed(catalog);
            }
            (
                SessionState::Connecting
                | SessionState::Reconnecting
                | SessionState::Disconnecting
                | SessionState::Blocked
                | SessionState::Closed,
                _,
            ) => {}
        }
    }

    fn forget_removed(&self, catalog: &Catalog) {
        self.marks().retain(|id, _| catalog.credential(*id).is_some());
    }

    fn marks(&self) -> MutexGuard<'_, BTreeMap<CredentialId, Mark>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

//! Changes of the catalog, and what they mean to sessions.

use std::collections::BTreeSet;

use egress_core::api::{
    AffectedSessions, ApplyReport, Code, OnSessions, Record, Refusal, Removed, Written,
};
use egress_core::catalog::{Catalog, Change, NotChanged, RecordId};

use super::agent::Host;
use super::catalog_view::{self, faulty};
use crate::control::agent::ApplyMode;
use crate::session::Outdated;
use crate::store::{ApplyError, ChangeError, RecordChange, StoreError};
use crate::telemetry::chain;

impl Host {
    /// Applies a document.
    pub(super) async fn apply_document(
        &self,
        document: serde_json::Value,
        mode: ApplyMode,
    ) -> Result<ApplyReport, Refusal> {
        let document = catalog_view::document(document)?;
        let former = self.store.catalog();
        let applied = self.store.apply(document, mode.prune, mode.dry_run).await;
        let applied = applied.map_err(|error| match error {
            ApplyError::Faults(faults) => faulty(faults),
            ApplyError::Store(error) => unavailable(&error),
        })?;
        let mut report = applied.report;
        report.sessions = match applied.would_be {
            Some(catalog) => self.would_affect(&former, &catalog, &applied.named, mode.on_sessions),
            None => self.see_to_sessions(&former, &applied.named, mode.on_sessions).await,
        };
        Ok(report)
    }

    /// Makes or changes a record.
    pub(super) async fn write(
        &self,
        change: Change,
        on_sessions: OnSessions,
    ) -> Result<(RecordId, Written<Record>), Refusal> {
        let former = self.store.catalog();
        let RecordChange { record, now, named, findings, .. } = self.change(change).await?;
        let sessions = self.see_to_sessions(&former, &named, on_sessions).await;
        let now = now.ok_or_else(|| no_such(&record))?;
        Ok((record, Written { record: now, findings, sessions }))
    }

    /// Removes a record.
    pub(super) async fn take_away(
        &self,
        change: Change,
        on_sessions: OnSessions,
    ) -> Result<Removed, Refusal> {
        let former = self.store.catalog();
        let change = self.change(change).await?;
        let sessions = self.see_to_sessions(&former, &change.named, on_sessions).await;
        let RecordChange { removed, updated, findings, .. } = change;
        Ok(Removed { removed, updated, findings, sessions })
    }

    async fn change(&self, change: Change) -> Result<RecordChange, Refusal> {
        let about = about(&change);
        self.store.change(change).await.map_err(|error| match error {
            ChangeError::Refused(why) => refusal(why, &about),
            ChangeError::Store(error) => unavailable(&error),
        })
    }

    /// Ends the sessions that a change leaves without their ground, or lets them run.
    async fn see_to_sessions(
        &self,
        former: &Catalog,
        named: &BTreeSet<RecordId>,
        on_sessions: OnSessions,
    ) -> AffectedSessions {
        let outdated = self.manager.outdated(former, &self.store.catalog(), named);
        if on_sessions == OnSessions::Cut {
            self.manager.cut(&outdated).await;
        }
        affected(outdated, on_sessions)
    }

    fn would_affect(
        &self,
        former: &Catalog,
        catalog: &Catalog,
        named: &BTreeSet<RecordId>,
        on_sessions: OnSessions,
    ) -> AffectedSessions {
        affected(self.manager.outdated(former, catalog, named), on_sessions)
    }
}

fn affected(outdated: Outdated, on_sessions: OnSessions) -> AffectedSessions {
    let sessions = outdated.into_iter().map(|(session, _)| session).collect();
    match on_sessions {
        OnSessions::Drain => AffectedSessions { draining: sessions, cut: Vec::new() },
        OnSessions::Cut => AffectedSessions { draining: Vec::new(), cut: sessions },
    }
}

/// What a change is about, in words.
fn about(change: &Change) -> String {
    match change {
        Change::Create { kind, .. } => kind.as_str().to_owned(),
        Change::Update { record, .. } | Change::Remove { record, .. } => words(record),
    }
}

fn words(record: &RecordId) -> String {
    format!("{} {record}", record.kind().as_str())
}

/// There is no record of that key.
pub(super) fn no_such(record: &RecordId) -> Refusal {
    let kind = record.kind().as_str();
    let detail = format!("there is no {}: GET /v1/{kind}s lists them", words(record));
    Refusal::new(Code::NoSuchRecord, detail)
}

fn refusal(why: NotChanged, about: &str) -> Refusal {
    match why {
        NotChanged::NoSuchRecord => Refusal::new(
            Code::NoSuchRecord,
            format!("there is no {about}: it was deleted, or never was"),
        ),
        NotChanged::Exists(record) => {
            let detail = format!(
                "{} has that id or name already: change it, or choose another",
                words(&record)
            );
            Refusal::new(Code::RecordExists, detail)
        }
        NotChanged::OtherVersion(version) => {
            let detail = format!(
                "{about} has version {version} by now, not the one of If-Match: read it again"
            );
            Refusal::new(Code::PreconditionFailed, detail)
        }
        NotChanged::Needed(needed) => {
            let detail =
                format!("other records need {about}: delete those first, or say cascade=true");
            Refusal::new(Code::RecordNeeded, detail).with_faults(needed)
        }
        NotChanged::Faulty(faults) => faulty(faults),
    }
}

fn unavailable(error: &StoreError) -> Refusal {
    Refusal::new(Code::StoreUnavailable, chain(error))
}

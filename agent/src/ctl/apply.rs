//! `apply`: a file, or a directory of them, as the catalog that is to be.

use egress_core::api::ApplyReport;
use egress_core::catalog::Document;

use super::arguments::Apply;
use super::failure::Failure;
use super::screen::Screen;
use super::tables;
use crate::catalog::file;
use crate::control::agent::ApplyMode;
use crate::control::client::{Client, Error};

pub async fn apply(client: &Client, apply: &Apply, screen: Screen) -> Result<(), Failure> {
    let (document, findings) = file::read(&apply.file)?;
    let on_sessions = apply.sessions.on_sessions();
    let mode = ApplyMode { dry_run: apply.dry_run, prune: apply.prune, on_sessions };
    let mut report = send(client, &document, mode).await?;
    report.findings.splice(0..0, findings);
    screen.remark(&report.findings);
    screen.show(&report, tables::report)
}

/// Sends a document, and brings the places in its files to what the agent finds.
pub async fn send(
    client: &Client,
    document: &Document,
    mode: ApplyMode,
) -> Result<ApplyReport, Failure> {
    match client.apply(document, mode).await {
        Ok(mut report) => {
            report.findings = document.locate(report.findings);
            Ok(report)
        }
        Err(Error::Refused(mut problem)) => {
            problem.faults = document.locate(problem.faults);
            Err(Failure::Agent(Error::Refused(problem)))
        }
        Err(error) => Err(Failure::Agent(error)),
    }
}

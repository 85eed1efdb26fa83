//! What is wrong with an input: every fault at once, each with its place.

use std::fmt;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Taken, and worth knowing.
    Note,
    /// Taken, and probably not what was meant.
    Warning,
    /// Refused.
    Fault,
}

/// One thing found in an input. Its text never holds a secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Finding {
    /// How bad it is.
    pub severity: Severity,
    /// The file it is in, as the caller named it; absent for a request body.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// Line in that file, or in the config text of the field, from 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line: Option<u32>,
    /// The field, as a path: `gateways[3].config`, `Peer.AllowedIPs`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub field: Option<String>,
    /// What the caller calls the entry that the field is of, where entries have such a name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub external_id: Option<String>,
    /// What was expected and what to do.
    pub message: String,
}

/// The most characters of an entry's own name that a finding repeats.
const EXTERNAL_ID_SHOWN: usize = 64;

impl Finding {
    fn new(severity: Severity, message: impl Into<String>) -> Self {
        let message = message.into();
        Self { severity, file: None, line: None, field: None, external_id: None, message }
    }

    /// A reason to refuse the input.
    pub fn fault(message: impl Into<String>) -> Self {
        Self::new(Severity::Fault, message)
    }

    /// Something taken that is probably a mistake.
    pub fn warning(message: impl Into<String>) -> Self {
        Self::new(Severity::Warning, message)
    }

    /// Something taken that is worth knowing.
    pub fn note(message: impl Into<String>) -> Self {
        Self::new(Severity::Note, message)
    }

    /// The same finding, in this file.
    #[must_use]
    pub fn in_file(mut self, file: impl Into<String>) -> Self {
        self.file = Some(file.into());
        self
    }

    /// The same finding, on this line (from 1).
    #[must_use]
    pub fn at_line(mut self, line: u32) -> Self {
        self.line = Some(line);
        self
    }

    /// The same finding, about this field.
    #[must_use]
    pub fn about(mut self, field: impl Into<String>) -> Self {
        self.field = Some(field.into());
        self
    }

    /// Says what the caller calls the entry: the beginning of it, without control characters.
    pub(crate) fn set_external_id(&mut self, external_id: Option<&str>) {
        self.external_id = external_id.map(|text| {
            let shown = text.chars().take(EXTERNAL_ID_SHOWN);
            shown.map(|c| if c.is_control() { char::REPLACEMENT_CHARACTER } else { c }).collect()
        });
    }

    /// The entry that the field is of: `gateway[3]` for `gateway[3].config`.
    pub(crate) fn entry(&self) -> Option<&str> {
        let field = self.field.as_ref()?;
        Some(&field[..=field.find(']')?])
    }
}

impl fmt::Display for Finding {
    /// `FILE:LINE: FIELD: MESSAGE`, as compilers write it; absent parts are left out.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.file, self.line) {
            (Some(file), Some(line)) => write!(f, "{file}:{line}: ")?,
            (Some(file), None) => write!(f, "{file}: ")?,
            (None, Some(line)) => write!(f, "line {line}: ")?,
            (None, None) => {}
        }
        if let Some(field) = &self.field {
            write!(f, "{field}")?;
            match &self.external_id {
                Some(external_id) => write!(f, " ({external_id}): ")?,
                None => f.write_str(": ")?,
            }
        }
        match self.severity {
            Severity::Fault => {}
            Severity::Warning => f.write_str("warning: ")?,
            Severity::Note => f.write_str("note: ")?,
        }
        f.write_str(&self.message)
    }
}

/// Why an input was refused: at least one [`Severity::Fault`], with all that was found beside it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", list(.0))]
pub struct Faults(pub Vec<Finding>);

fn list(findings: &[Finding]) -> String {
    findings.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

/// A value and what was found on the way to it, or only the faults.
pub type Checked<T> = Result<(T, Vec<Finding>), Faults>;

/// Gives `value` if nothing among `findings` is a fault.
pub fn unless_faulty<T>(findings: Vec<Finding>, value: impl FnOnce() -> T) -> Checked<T> {
    if findings.iter().any(|finding| finding.severity == Severity::Fault) {
        return Err(Faults(findings));
    }
    Ok((value(), findings))
}

/// The most findings one text is worth; a note says how many more there are.
const FINDINGS_MAX: usize = 100;

/// What has been found so far.
#[derive(Default)]
pub(crate) struct Report {
    findings: Vec<Finding>,
    faults: usize,
    /// Faults that were not worked out.
    unlisted: usize,
}

impl Report {
    pub fn push(&mut self, finding: Finding) {
        self.faults += usize::from(finding.severity == Severity::Fault);
        self.findings.push(finding);
    }

    /// A fault that takes time to work out: no more than are listed are.
    pub fn push_fault(&mut self, fault: impl FnOnce() -> Finding) {
        if self.faults < FINDINGS_MAX {
            self.push(fault());
        } else {
            self.unlisted += 1;
        }
    }

    /// Everything, in the order of the lines; faults first where there are too many.
    pub fn finish(mut self) -> Vec<Finding> {
        let total = self.findings.len() + self.unlisted;
        if total > FINDINGS_MAX {
            self.findings.sort_by_key(|finding| std::cmp::Reverse(finding.severity));
            self.findings.truncate(FINDINGS_MAX);
            let more = total - FINDINGS_MAX;
            self.findings.push(Finding::note(format!("{more} more findings are not listed")));
        }
        self.findings.sort_by_key(|finding| finding.line.unwrap_or(u32::MAX));
        self.findings
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_finding_reads_like_a_compilers() {
        let finding = Finding::fault("expected 32 bytes of base64")
            .in_file("wg0.conf")
            .at_line(7)
            .about("Peer.PublicKey");
        assert_eq!(finding.to_string(), "wg0.conf:7: Peer.PublicKey: expected 32 bytes of base64");
    }

    #[test]
    fn a_hundred_faults_are_worked_out_and_the_others_counted() {
        let (mut report, mut worked_out) = (Report::default(), 0);
        report.push(Finding::note("a note"));
        for line in 1..=250 {
            report.push_fault(|| {
                worked_out += 1;
                Finding::fault("wrong").at_line(line)
            });
        }
        let found = report.finish();
        assert_eq!((found.len(), worked_out), (101, 100));
        assert_eq!(found[99].line, Some(100));
        assert_eq!(found[100].message, "151 more findings are not listed");
    }
}

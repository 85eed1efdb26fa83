//! What is wrong with an input: every fault at once, each with its place.

mod report;
mod tally;

use std::fmt;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

pub(crate) use report::Report;
pub use report::{FAULTS_MAX, bounded};
pub use tally::Tally;

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
    /// A finding of this class.
    pub fn new(severity: Severity, message: impl Into<String>) -> Self {
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

    /// Tells whether the input is refused for it.
    pub fn is_fault(&self) -> bool {
        self.severity == Severity::Fault
    }

    /// The same finding, in this file. The name is shown without control characters.
    #[must_use]
    pub fn in_file(mut self, file: impl Into<String>) -> Self {
        self.file = Some(printable(file.into().chars()));
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
        let shown = |text: &str| printable(text.chars().take(EXTERNAL_ID_SHOWN));
        self.external_id = external_id.map(shown);
    }

    /// The entry that the field is of: `gateway[3]` for `gateway[3].config`.
    pub(crate) fn entry(&self) -> Option<&str> {
        let field = self.field.as_ref()?;
        Some(&field[..=field.find(']')?])
    }
}

fn printable(text: impl Iterator<Item = char>) -> String {
    text.map(|c| if c.is_control() { char::REPLACEMENT_CHARACTER } else { c }).collect()
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

impl Faults {
    /// The faults without what was found beside them.
    pub fn alone(self) -> Vec<Finding> {
        self.0.into_iter().filter(Finding::is_fault).collect()
    }
}

fn list(findings: &[Finding]) -> String {
    findings.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

/// A value and what was found on the way to it, or only the faults.
pub type Checked<T> = Result<(T, Vec<Finding>), Faults>;

/// Gives `value` if nothing among `findings` is a fault.
pub fn unless_faulty<T>(findings: Vec<Finding>, value: impl FnOnce() -> T) -> Checked<T> {
    if findings.iter().any(Finding::is_fault) {
        return Err(Faults(findings));
    }
    Ok((value(), findings))
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
}

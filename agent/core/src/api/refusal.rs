//! A refusal, and the problem document it becomes.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::Code;
use crate::fault::Finding;

/// Why a session is where it is, or why a call was refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Reason {
    /// The stable word.
    pub code: Code,
    /// A sentence with the next step. Never a secret.
    pub detail: String,
}

/// A refusal, on its way to becoming a [`Problem`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}: {detail}", .code.as_str())]
pub struct Refusal {
    /// The stable word.
    pub code: Code,
    /// A sentence with the next step. Never a secret.
    pub detail: String,
    /// Every fault of the input, where the input is at fault.
    pub faults: Vec<Finding>,
}

impl Refusal {
    /// A refusal without faults.
    pub fn new(code: Code, detail: impl Into<String>) -> Self {
        Self { code, detail: detail.into(), faults: Vec::new() }
    }

    /// The same refusal with these faults.
    #[must_use]
    pub fn with_faults(mut self, faults: Vec<Finding>) -> Self {
        self.faults = faults;
        self
    }

    /// What of it stays with a session.
    pub fn reason(&self) -> Reason {
        Reason { code: self.code, detail: self.detail.clone() }
    }

    /// The document that goes over the wire.
    pub fn problem(self) -> Problem {
        Problem {
            kind: format!("urn:egress-agent:{}", self.code.as_str()),
            title: self.code.as_str().replace('_', " "),
            status: self.code.status(),
            code: self.code,
            detail: self.detail,
            faults: self.faults,
        }
    }
}

impl From<Reason> for Refusal {
    fn from(reason: Reason) -> Self {
        Self::new(reason.code, reason.detail)
    }
}

/// A problem document (RFC 9457), `application/problem+json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Problem {
    /// `urn:egress-agent:CODE`.
    #[serde(rename = "type")]
    pub kind: String,
    /// The code in words.
    pub title: String,
    /// The HTTP status, again.
    pub status: u16,
    /// The stable word.
    pub code: Code,
    /// A sentence with the next step.
    pub detail: String,
    /// Every fault of the input, with field and line.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub faults: Vec<Finding>,
}

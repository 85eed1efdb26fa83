//! What a launcher asks for when it attaches a container.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::NetnsRef;
use crate::catalog::Subject;
use crate::fault::Finding;
use crate::id::{GatewayId, SessionId};
use crate::secret::Secret;

/// The longest an attach may be told to wait: 5 minutes.
pub const DEADLINE_MAX_MS: u64 = 300_000;
/// The longest name of a user, group or workspace, in bytes.
pub const NAME_MAX: usize = 256;
/// The most groups a subject may have.
pub const GROUPS_MAX: usize = 4_096;
/// The longest answer to a challenge, in bytes.
pub const ANSWER_MAX: usize = 256;
/// How long an attach may take unless told otherwise: 10 s.
pub const DEADLINE_DEFAULT_MS: u64 = 10_000;

/// `POST /v1/sessions`: give a container an egress.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AttachRequest {
    /// The launcher's name for it; the same id and request again finds the running session.
    pub session_id: SessionId,
    /// The container's network namespace.
    pub netns: NetnsRef,
    /// Who is asking.
    pub subject: Subject,
    /// The way out; `null` only where the workspace's egress is optional.
    #[serde(deserialize_with = "Option::deserialize")]
    #[schema(required = true)]
    pub gateway: Option<GatewayId>,
    /// How the container is connected and sealed.
    #[serde(default)]
    pub profile: ContainmentProfile,
    /// How long the call may take, 1 to 300,000 ms.
    #[serde(default = "default_deadline_ms")]
    #[schema(minimum = 1, maximum = 300_000)]
    pub deadline_ms: u64,
    /// What the user answers to the question of an OpenVPN gateway (`static-challenge`). It is used
    /// for this attach and not kept: a session that the agent takes up after a restart has none.
    #[serde(default, skip_serializing)]
    #[schema(value_type = Option<String>, write_only, max_length = 256)]
    pub challenge_response: Option<Secret<String>>,
}

fn default_deadline_ms() -> u64 {
    DEADLINE_DEFAULT_MS
}

impl AttachRequest {
    /// Every value that is out of range, whatever there is on the host.
    pub fn faults(&self) -> Vec<Finding> {
        let mut faults = Vec::new();
        if !(1..=DEADLINE_MAX_MS).contains(&self.deadline_ms) {
            let message = format!("expected 1 to {DEADLINE_MAX_MS} ms");
            faults.push(Finding::fault(message).about("deadline_ms"));
        }
        faults.extend(self.netns.fault());
        faults.extend(self.challenge_response.as_ref().and_then(answer_fault));
        faults.extend(name_faults(&self.subject));
        faults
    }

    /// Whether this asks for the same egress: everything but the deadline and an answer that counts
    /// once.
    pub fn asks_the_same_as(&self, other: &Self) -> bool {
        self.lasting() == other.lasting()
    }

    fn lasting(&self) -> Self {
        Self { deadline_ms: 0, challenge_response: None, ..self.clone() }
    }
}

fn answer_fault(answer: &Secret<String>) -> Option<Finding> {
    let answer = answer.expose();
    let fits = answer.len() <= ANSWER_MAX && !answer.contains(char::is_control);
    let message = || format!("expected one line of at most {ANSWER_MAX} bytes");
    (!fits).then(|| Finding::fault(message()).about("challenge_response"))
}

fn name_faults(subject: &Subject) -> Vec<Finding> {
    let groups = subject.groups.iter().enumerate();
    let groups = groups.map(|(nth, name)| (format!("subject.groups[{nth}]"), name));
    let user = subject.user.iter().map(|name| ("subject.user".to_owned(), name));
    let workspace = subject.workspace.iter().map(|name| ("subject.workspace".to_owned(), name));
    let mut faults: Vec<_> = user
        .chain(groups)
        .chain(workspace)
        .filter(|(_, name)| name.is_empty() || name.len() > NAME_MAX)
        .map(|(field, _)| Finding::fault(format!("expected 1 to {NAME_MAX} bytes")).about(field))
        .collect();
    if subject.groups.len() > GROUPS_MAX {
        let message = format!("expected at most {GROUPS_MAX} groups");
        faults.push(Finding::fault(message).about("subject.groups"));
    }
    faults
}

/// How a container is connected and sealed.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum ContainmentProfile {
    /// The namespace has nothing but loopback, and gets the tunnel's device.
    #[default]
    Sealed,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_attach_with_four_fields_has_the_documented_defaults() {
        let request: AttachRequest = serde_json::from_str(
            r#"{"session_id":"c-41","netns":{"path":"/run/netns/x"},
                "subject":{"user":"ann@example.org"},
                "gateway":"018f0000-0000-7000-8000-000000000001"}"#,
        )
        .unwrap();
        assert_eq!(request.deadline_ms, DEADLINE_DEFAULT_MS);
        assert_eq!(request.profile, ContainmentProfile::Sealed);
        assert_eq!(request.challenge_response, None);
    }

    #[test]
    fn an_answer_is_read_and_never_written() {
        let text = r#"{"session_id":"c","netns":{"pid":1},"subject":{},"gateway":null,
            "challenge_response":"123456"}"#;
        let request: AttachRequest = serde_json::from_str(text).unwrap();
        assert!(request.challenge_response.is_some() && request.faults().is_empty());
        assert!(!serde_json::to_string(&request).unwrap().contains("123456"));
        let again = AttachRequest { challenge_response: None, ..request.clone() };
        assert!(again.asks_the_same_as(&request));
    }

    #[test]
    fn every_value_out_of_range_is_found_at_once() {
        let request: AttachRequest = serde_json::from_str(
            r#"{"session_id":"c","netns":{"path":"x"},"gateway":null,"deadline_ms":0,
                "subject":{"user":"","groups":["a",""]},"challenge_response":"a\nb"}"#,
        )
        .unwrap();
        let fields: Vec<_> =
            request.faults().into_iter().filter_map(|finding| finding.field).collect();
        let wanted = [
            "deadline_ms",
            "netns.path",
            "challenge_response",
            "subject.user",
            "subject.groups[1]",
        ];
        assert_eq!(fields, wanted);
    }

    #[test]
    fn unknown_fields_of_an_attach_are_errors() {
        let text = r#"{"session_id":"c","netns":{"pid":1},"subject":{},"gateway":null,"x":1}"#;
        let error = serde_json::from_str::<AttachRequest>(text).unwrap_err();
        assert!(error.to_string().contains("unknown field `x`"), "{error}");
    }
}

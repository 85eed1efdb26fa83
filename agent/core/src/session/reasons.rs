//! Why a session is where it is, in words.

use super::phase::Phase;
use crate::api::{Code, Reason};

/// The agent was restarted and the tunnel with it.
pub fn restarted() -> Reason {
    reason(Code::AgentRestarted, "the agent was restarted and brings the tunnel up again")
}

/// The gateway answers nothing any more.
pub fn dead() -> Reason {
    let detail = "the gateway does not answer; the container is sealed until it does";
    reason(Code::TunnelDown, detail)
}

/// The server gave the device its addresses once more.
pub fn connected_anew() -> Reason {
    let detail = "the gateway connected anew; the container is sealed until its device is set";
    reason(Code::TunnelDown, detail)
}

/// The attach named no gateway.
pub fn no_gateway() -> Reason {
    let detail = "no gateway was asked for: the sealed container has no egress";
    reason(Code::NoGateway, detail)
}

/// What the session ran on is not there any more, or not the same.
pub fn cut(why: String) -> Reason {
    reason(Code::Cut, why)
}

/// The container has ended.
pub fn namespace_gone() -> Reason {
    reason(
        Code::NetnsGone,
        "the container has ended: its network namespace is gone, or nobody is left in it",
    )
}

/// The launcher asked for the end.
pub fn detached() -> Reason {
    reason(Code::Detached, "the session was detached")
}

/// The agent stops before the attach has its answer.
pub fn shutting_down() -> Reason {
    let detail = "the agent is going down; attach again when it is back";
    reason(Code::ShuttingDown, detail)
}

/// The deadline passed in this phase.
pub fn overdue(phase: &Phase) -> Reason {
    if *phase == Phase::Handshaking {
        let detail = "the gateway did not answer within the deadline: check its endpoint and \
                      public key, and that it knows the credential's key";
        return reason(Code::HandshakeTimeout, detail);
    }
    let detail = format!("the deadline passed while {}", phase.doing());
    reason(Code::DeadlineExceeded, detail)
}

fn reason(code: Code, detail: impl Into<String>) -> Reason {
    Reason { code, detail: detail.into() }
}

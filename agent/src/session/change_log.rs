//! Changes of sessions in the log: whose session it is, what it goes through, who asked, and why.

use egress_core::api::{AttachRequest, Code, Refusal, SessionState};
use tracing::{info, warn};

use super::hands::Hands;
use crate::control::caller::Caller;

/// Logs that a session entered the state of its row. It is a warning where somebody may have to
/// act: a tunnel that died, a login that was refused.
pub fn state_changed(hands: &Hands) {
    let row = &hands.row;
    let subject = &row.request.subject;
    let (code, detail) = row.reason.as_ref().map(|it| (it.code, it.detail.as_str())).unzip();
    let gateway = hands.gateway.as_ref();
    macro_rules! log {
        ($level:ident) => {
            $level!(
                state = row.state.as_str(),
                user = subject.user,
                groups = subject.groups.join(","),
                workspace = subject.workspace,
                gateway = gateway.map(|it| it.name.as_str()),
                provider = gateway.map(|it| it.provider.as_str()),
                credential = hands.credential_name(),
                client = hands.client,
                reason = code.map(Code::as_str),
                detail,
                "the session changed state"
            )
        };
    }
    if is_trouble(row.state, code) { log!(warn) } else { log!(info) }
}

/// Logs that an attach was refused.
pub fn refused(request: &AttachRequest, caller: &Caller, refusal: &Refusal) {
    let subject = &request.subject;
    info!(
        session = %request.session_id,
        user = subject.user,
        groups = subject.groups.join(","),
        workspace = subject.workspace,
        gateway_id = request.gateway.map(|id| id.to_string()),
        client = %caller.identity,
        code = refusal.code.as_str(),
        detail = refusal.detail,
        "an attach was refused"
    );
}

fn is_trouble(state: SessionState, code: Option<Code>) -> bool {
    match state {
        SessionState::Reconnecting => code != Some(Code::AgentRestarted),
        SessionState::Blocked => !matches!(code, Some(Code::NoGateway | Code::Cut)),
        SessionState::Connecting
        | SessionState::Connected
        | SessionState::Disconnecting
        | SessionState::Closed => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dead_tunnel_and_a_refused_login_are_warnings_and_what_was_asked_for_is_not() {
        for (state, code, wanted) in [
            (SessionState::Reconnecting, Some(Code::TunnelDown), true),
            (SessionState::Reconnecting, Some(Code::AgentRestarted), false),
            (SessionState::Blocked, Some(Code::AuthFailed), true),
            (SessionState::Blocked, Some(Code::NoGateway), false),
            (SessionState::Blocked, Some(Code::Cut), false),
            (SessionState::Connected, None, false),
            (SessionState::Closed, Some(Code::Detached), false),
        ] {
            assert_eq!(is_trouble(state, code), wanted, "{state:?} {code:?}");
        }
    }
}

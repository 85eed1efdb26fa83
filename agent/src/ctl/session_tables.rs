//! Sessions in words.

use std::time::{SystemTime, UNIX_EPOCH};

use egress_core::api::{GatewayView, Reason, SessionList, SessionView, Timings};

use super::tables::{age, blank, finish, gateway_name, table, words};
use super::times::utc;

/// Sessions, one a line.
pub fn sessions(list: &SessionList) -> String {
    let titles =
        ["SESSION", "STATE", "USER", "GATEWAY", "CREDENTIAL", "AGE", "ADDRESSES", "REASON"];
    let mut table = table(titles);
    for session in &list.sessions {
        table.add_row([
            session.session_id.to_string(),
            session.state.as_str().to_owned(),
            session.subject.user.clone().unwrap_or_default(),
            session.gateway.as_ref().map(gateway_name).unwrap_or_default(),
            session.credential_name.clone().unwrap_or_default(),
            age(seconds_since(session.created_at)),
            words(&session.addresses),
            session
                .reason
                .as_ref()
                .map(|reason| reason.code.as_str().to_owned())
                .unwrap_or_default(),
        ]);
    }
    finish(&table)
}

/// One session, one field a line; fields that say nothing are left out.
pub fn session(session: &SessionView) -> String {
    let reason = |reason: &Reason| format!("{}: {}", reason.code.as_str(), reason.detail);
    let gateway = |gateway: &GatewayView| {
        format!("{} {} {}", gateway_name(gateway), gateway.city, gateway.country)
    };
    let fields = [
        ("session", session.session_id.to_string()),
        ("state", session.state.as_str().to_owned()),
        ("user", session.subject.user.clone().unwrap_or_default()),
        ("groups", session.subject.groups.join(", ")),
        ("workspace", session.subject.workspace.clone().unwrap_or_default()),
        ("attached", utc(session.created_at)),
        ("age", age(seconds_since(session.created_at))),
        ("reason", session.reason.as_ref().map(reason).unwrap_or_default()),
        ("gateway", session.gateway.as_ref().map(gateway).unwrap_or_default()),
        ("credential", session.credential_name.clone().unwrap_or_default()),
        ("interface", session.interface.clone().unwrap_or_default()),
        ("addresses", words(&session.addresses)),
        ("dns", words(&session.dns)),
        ("search", words(&session.search)),
        ("mtu", session.mtu.map(|mtu| mtu.to_string()).unwrap_or_default()),
        ("stale credential", if session.stale_credential { "yes" } else { "" }.to_owned()),
        ("milliseconds", session.timings_ms.as_ref().map(milliseconds).unwrap_or_default()),
    ];
    let mut table = blank();
    for (name, value) in fields {
        if !value.trim().is_empty() {
            table.add_row([name.to_owned(), value.trim().to_owned()]);
        }
    }
    finish(&table)
}

fn milliseconds(timings: &Timings) -> String {
    let Timings { seal, select, tunnel, handshake, open, total } = timings;
    format!(
        "seal {seal:.1}, select {select:.1}, tunnel {tunnel:.1}, handshake {handshake:.1}, \
         open {open:.1}, total {total:.1}"
    )
}

/// Seconds from a time of the agent's clock to now, by this host's.
pub fn seconds_since(created_at: u64) -> f64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    u32::try_from(now.saturating_sub(created_at)).unwrap_or(u32::MAX).into()
}

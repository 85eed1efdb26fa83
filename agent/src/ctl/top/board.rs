//! What a picture shows: how each session stands, and what it carried between two looks.

use std::collections::BTreeMap;
use std::time::Instant;

use egress_core::api::{GatewayView, SessionState, SessionView, TrafficView};
use egress_core::id::SessionId;
use serde::Serialize;

use super::news::Look;
use crate::ctl::session_tables::seconds_since;

/// Every session, by id.
#[derive(Debug, Default, Serialize)]
pub struct Board {
    sessions: Vec<Line>,
    #[serde(skip)]
    former: BTreeMap<SessionId, TrafficView>,
    #[serde(skip)]
    looked: Option<Instant>,
}

/// One session.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Line {
    pub session_id: SessionId,
    pub state: SessionState,
    /// Why, where there is more to say.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The subject's user.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// The credential's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub credential: Option<String>,
    /// Seconds since the attach.
    pub age_s: f64,
    /// `provider/name`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gateway: Option<String>,
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    pub carried: Option<Carried>,
}

/// What a session's tunnel carries.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Carried {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub handshake_age_s: Option<f64>,
    pub received_bytes_per_s: f64,
    pub sent_bytes_per_s: f64,
    pub dropped_packets: u64,
}

impl Board {
    /// Takes another look; true from the second one on, which is when there are rates.
    pub fn take(&mut self, look: Look) -> bool {
        let seconds = self.looked.map(|looked| (look.at - looked).as_secs_f64());
        let traffic: BTreeMap<_, _> =
            look.traffic.traffic.into_iter().map(|it| (it.session_id.clone(), it)).collect();
        let line = |session: SessionView| {
            let carried = traffic.get(&session.session_id).map(|now| self.carried(now, seconds));
            line(session, carried)
        };
        let sessions = look.sessions.sessions.into_iter().map(line).collect();
        *self = Self { sessions, former: traffic, looked: Some(look.at) };
        seconds.is_some()
    }

    fn carried(&self, now: &TrafficView, seconds: Option<f64>) -> Carried {
        let former = self.former.get(&now.session_id);
        // A tunnel that was made anew counts from 0, one that is new to us is no rate yet.
        let rate = |count: fn(&TrafficView) -> u64| match (former, seconds) {
            (Some(former), Some(seconds)) if seconds > 0.0 => {
                let carried = count(now).checked_sub(count(former)).unwrap_or(count(now));
                as_f64(carried) / seconds
            }
            (Some(_) | None, Some(_) | None) => 0.0,
        };
        Carried {
            handshake_age_s: now.handshake_age_s,
            received_bytes_per_s: rate(|it| it.received_bytes),
            sent_bytes_per_s: rate(|it| it.sent_bytes),
            dropped_packets: now.dropped_packets,
        }
    }

    /// Every session, by id.
    pub fn by_name(&self) -> Vec<&Line> {
        self.sessions.iter().collect()
    }

    /// Every session, the one that carries most first.
    pub fn by_traffic(&self) -> Vec<&Line> {
        let mut lines = self.by_name();
        lines.sort_by(|a, b| b.bytes_per_s().total_cmp(&a.bytes_per_s()));
        lines
    }

    /// How many sessions are in this state.
    pub fn count(&self, state: SessionState) -> usize {
        self.sessions.iter().filter(|line| line.state == state).count()
    }

    /// What all sessions receive and send together, in bytes a second.
    pub fn rates(&self) -> (f64, f64) {
        let carried = self.sessions.iter().filter_map(|line| line.carried);
        carried.fold((0.0, 0.0), |(received, sent), it| {
            (received + it.received_bytes_per_s, sent + it.sent_bytes_per_s)
        })
    }
}

impl Line {
    fn bytes_per_s(&self) -> f64 {
        self.carried.map_or(0.0, |it| it.received_bytes_per_s + it.sent_bytes_per_s)
    }
}

fn line(session: SessionView, carried: Option<Carried>) -> Line {
    let name = |gateway: GatewayView| format!("{}/{}", gateway.provider, gateway.name);
    Line {
        session_id: session.session_id,
        state: session.state,
        user: session.subject.user,
        credential: session.credential_name,
        age_s: seconds_since(session.created_at),
        reason: session.reason.map(|it| it.code.as_str().to_owned()),
        gateway: session.gateway.map(name),
        carried,
    }
}

#[expect(clippy::cast_precision_loss, reason = "2^52 bytes between two looks do not come up")]
fn as_f64(bytes: u64) -> f64 {
    bytes as f64
}

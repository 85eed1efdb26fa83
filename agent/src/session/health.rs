//! What the agent knows of gateways from the sessions that they carry.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use egress_core::api::{Code, Event, Health, SessionState};
use egress_core::id::GatewayId;

use crate::control::events::Events;
use crate::store::SessionRow;

/// The newest news of every gateway. Clones are the same board.
#[derive(Clone, Default)]
pub struct HealthBoard(Arc<Mutex<BTreeMap<GatewayId, Health>>>);

impl HealthBoard {
    /// What is known of any gateway at this moment.
    pub fn now(&self) -> impl Fn(GatewayId) -> Health + use<> {
        let board = self.board().clone();
        move |gateway| board.get(&gateway).copied().unwrap_or(Health::Unknown)
    }

    /// Learns from a session's new state, and tells a change.
    pub fn learn(&self, row: &SessionRow, events: &Events) {
        let (Some(gateway_id), Some(health)) = (row.gateway, news(row)) else { return };
        if self.board().insert(gateway_id, health) != Some(health) {
            events.publish(Event::Gateway { gateway_id, health });
        }
    }

    fn board(&self) -> std::sync::MutexGuard<'_, BTreeMap<GatewayId, Health>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn news(row: &SessionRow) -> Option<Health> {
    let code = row.reason.as_ref().map(|reason| reason.code);
    match (row.state, code) {
        (SessionState::Connected, _) => Some(Health::Up),
        (
            SessionState::Reconnecting | SessionState::Blocked,
            Some(
                Code::TunnelDown
                | Code::HandshakeTimeout
                | Code::EndpointUnresolved
                | Code::EndpointRefused
                | Code::EndpointUnreachable
                | Code::TlsFailed
                | Code::ServerPushedExit
                | Code::PushRefused,
            ),
        ) => Some(Health::Down),
        (
            SessionState::Connecting
            | SessionState::Reconnecting
            | SessionState::Disconnecting
            | SessionState::Blocked
            | SessionState::Closed,
            _,
        ) => None,
    }
}

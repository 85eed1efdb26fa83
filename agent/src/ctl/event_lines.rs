//! Events in words.

use egress_core::api::{Event, TimedEvent};
use serde::Serialize;

use super::tables::health;
use super::times::utc;
use crate::control::events::Numbered;

/// An event with its id, as `events` prints it.
#[derive(Debug, Serialize)]
pub struct EventLine {
    id: u64,
    #[serde(flatten)]
    event: TimedEvent,
}

impl From<Numbered> for EventLine {
    fn from(Numbered { id, event }: Numbered) -> Self {
        Self { id, event }
    }
}

/// One event in words.
pub fn event(line: &EventLine) -> String {
    let what = match &line.event.event {
        Event::Session { session_id, state, user, gateway, credential, reason } => {
            let about = [("of", user), ("through", gateway), ("with", credential)]
                .into_iter()
                .filter_map(|(word, name)| Some(format!(" {word} {}", name.as_ref()?)));
            let about: String = about.collect();
            let why = reason.as_ref().map(|why| format!(", {}: {}", why.code.as_str(), why.detail));
            format!("session {session_id}{about} {}{}", state.as_str(), why.unwrap_or_default())
        }
        Event::Connections { credential_id, in_use, limit } => {
            let limit = limit.map(|limit| format!(" of {limit}")).unwrap_or_default();
            format!("credential {credential_id} has {in_use}{limit} in use")
        }
        Event::Gateway { gateway_id, health: now } => {
            format!("gateway {gateway_id} {}", health(*now))
        }
        Event::Catalog { changed } => format!("catalog changed, {changed} records"),
        Event::Reset => "events before this one are not kept: read the lists again".to_owned(),
    };
    format!("{} {} {what}", line.id, utc(line.event.at_ms / 1_000))
}

#[cfg(test)]
mod tests {
    use egress_core::api::SessionState;

    use super::*;

    #[test]
    fn an_event_is_one_line_with_its_id_and_its_time() {
        let happened =
            |event| EventLine { id: 7, event: TimedEvent { at_ms: 1_795_943_411_250, event } };
        let line = happened(Event::Reset);
        assert!(event(&line).starts_with("7 2026-11-29T09:10:11Z events before"), "{line:?}");
        let json = serde_json::to_string(&line).unwrap();
        assert_eq!(json, r#"{"id":7,"at_ms":1795943411250,"event":"reset"}"#);
        let line = happened(Event::Session {
            session_id: "c-1".parse().unwrap(),
            state: SessionState::Connected,
            user: Some("ann".into()),
            gateway: Some("nordic/se-1".into()),
            credential: None,
            reason: None,
        });
        let wanted = "7 2026-11-29T09:10:11Z session c-1 of ann through nordic/se-1 connected";
        assert_eq!(event(&line), wanted);
    }
}

//! Which sessions and events are asked for on the command line.

use clap::{Args, ValueEnum};
use egress_core::api::{Event, SessionState};
use egress_core::id::SessionId;

use super::ask::gateway;
use super::failure::Failure;
use super::record_arguments::PageArguments;
use crate::control::client::{Client, Filter};

#[derive(Debug, Args)]
pub struct Sessions {
    #[command(flatten)]
    pub filter: SessionFilter,
    #[command(flatten)]
    pub page: PageArguments,
}

#[derive(Debug, Clone, Default, Args)]
pub struct SessionFilter {
    /// Only those of this user
    #[arg(long)]
    pub user: Option<String>,
    /// Only those of this workspace
    #[arg(long)]
    pub workspace: Option<String>,
    /// Only those through this gateway, by its id or name
    #[arg(long, short, value_name = "GATEWAY")]
    pub gateway: Option<String>,
    /// Only those in this state
    #[arg(long, value_parser = state)]
    pub state: Option<SessionState>,
}

impl SessionFilter {
    /// As the API takes it.
    pub async fn filter(&self, client: &Client) -> Result<Filter, Failure> {
        let gateway = match &self.gateway {
            Some(name) => Some(gateway(client, name).await?),
            None => None,
        };
        Ok(Filter::default()
            .with("user", self.user.as_ref())
            .with("workspace", self.workspace.as_ref())
            .with("gateway", gateway)
            .with("state", self.state.map(SessionState::as_str)))
    }
}

fn state(text: &str) -> Result<SessionState, String> {
    let state = SessionState::ALL.into_iter().find(|state| state.as_str() == text);
    let names = SessionState::ALL.map(SessionState::as_str).join(", ");
    state.ok_or_else(|| format!("expected one of {names}"))
}

#[derive(Debug, Args)]
pub struct Events {
    /// Begin after the event of this id
    #[arg(long, value_name = "ID")]
    pub after: Option<u64>,
    /// Only those of this kind
    #[arg(long, value_enum)]
    pub kind: Option<Kind>,
    /// Only those of this session
    #[arg(long, value_name = "ID")]
    pub session: Option<SessionId>,
    /// Only those of this user's sessions
    #[arg(long)]
    pub user: Option<String>,
}

/// Kinds of events.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Kind {
    /// A session entered a state.
    Session,
    /// A credential's count or limit changed.
    Connections,
    /// A gateway's health.
    Gateway,
    /// The catalog changed.
    Catalog,
}

impl Events {
    /// Whether it asks for this event. That some are missing is told always.
    pub fn wants(&self, event: &Event) -> bool {
        let only_sessions = self.session.is_some() || self.user.is_some();
        let of = |kind| self.kind.is_none_or(|wanted| wanted == kind);
        match event {
            Event::Session { session_id, user, .. } => {
                of(Kind::Session)
                    && self.session.as_ref().is_none_or(|wanted| wanted == session_id)
                    && self.user.as_ref().is_none_or(|wanted| Some(wanted) == user.as_ref())
            }
            Event::Connections { .. } => !only_sessions && of(Kind::Connections),
            Event::Gateway { .. } => !only_sessions && of(Kind::Gateway),
            Event::Catalog { .. } => !only_sessions && of(Kind::Catalog),
            Event::Reset => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_wanted_by_kind_session_and_user() {
        let session = Event::Session {
            session_id: "c-1".parse().unwrap(),
            state: SessionState::Connected,
            user: Some("ann".into()),
            gateway: None,
            credential: None,
            reason: None,
        };
        let catalog = Event::Catalog { changed: 1 };
        let wanted = |kind, session: Option<&str>, user: Option<&str>| Events {
            after: None,
            kind,
            session: session.map(|id| id.parse().unwrap()),
            user: user.map(str::to_owned),
        };
        for (events, of_session, of_catalog) in [
            (wanted(None, None, None), true, true),
            (wanted(Some(Kind::Session), None, None), true, false),
            (wanted(Some(Kind::Catalog), None, None), false, true),
            (wanted(None, Some("c-1"), None), true, false),
            (wanted(None, Some("c-2"), None), false, false),
            (wanted(None, None, Some("ann")), true, false),
            (wanted(None, None, Some("bob")), false, false),
        ] {
            assert_eq!(events.wants(&session), of_session, "{events:?}");
            assert_eq!(events.wants(&catalog), of_catalog, "{events:?}");
            assert!(events.wants(&Event::Reset));
        }
    }
}

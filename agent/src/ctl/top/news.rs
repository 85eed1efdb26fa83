//! Looks at the agent: one each interval, and one whenever a session changes its state.

use std::time::{Duration, Instant};

use egress_core::api::{Event, SessionList, TrafficList};
use futures_util::stream::{self, BoxStream};
use futures_util::{Stream, StreamExt};
use tokio::time::{sleep_until, timeout_at};

use crate::control::client::{Client, Error, Filter};
use crate::control::events::Numbered;
use crate::ctl::failure::Failure;

/// The least time between two looks: a host that starts a thousand containers has as many events.
const BREATH: Duration = Duration::from_millis(200);

/// What the agent said at one time.
#[derive(Debug, Clone)]
pub struct Look {
    /// How every session stands.
    pub sessions: SessionList,
    /// What their tunnels have carried.
    pub traffic: TrafficList,
    /// When it was said.
    pub at: Instant,
}

/// Looks, and why there was none.
pub trait NewsStream: Stream<Item = Result<Look, Failure>> + Unpin {}

impl<T: Stream<Item = Result<Look, Failure>> + Unpin> NewsStream for T {}

/// Looks at the agent for ever; an agent that does not answer is asked again.
pub fn news(
    client: &Client,
    interval: Duration,
    filter: Filter,
) -> impl Stream<Item = Result<Look, Failure>> {
    let watch = Watch { client: client.clone(), interval, filter, events: None, looked: None };
    stream::unfold(watch, |mut watch| async {
        watch.wait().await;
        let look = watch.look().await.map_err(Failure::Agent);
        Some((look, watch))
    })
}

struct Watch {
    client: Client,
    interval: Duration,
    filter: Filter,
    events: Option<BoxStream<'static, Result<Numbered, Error>>>,
    looked: Option<Instant>,
}

impl Watch {
    async fn look(&mut self) -> Result<Look, Error> {
        self.looked = Some(Instant::now());
        if self.events.is_none() {
            self.events = Some(self.client.events(None).await?.boxed());
        }
        let (sessions, traffic) =
            tokio::join!(self.client.sessions_where(&self.filter), self.client.traffic());
        Ok(Look { sessions: sessions?, traffic: traffic?, at: Instant::now() })
    }

    /// Until the interval is over or a session changes, whichever is first.
    async fn wait(&mut self) {
        let Some(looked) = self.looked else { return };
        let next = looked + self.interval;
        // The interval being over is what is waited for, too.
        let _ = timeout_at(next.into(), self.change(next)).await;
        sleep_until((looked + BREATH).into()).await;
    }

    async fn change(&mut self, until: Instant) {
        while let Some(events) = &mut self.events {
            // The next look asks for them anew.
            let Some(Ok(next)) = events.next().await else {
                self.events = None;
                break;
            };
            match next.event.event {
                Event::Session { .. } | Event::Reset => return,
                Event::Connections { .. } | Event::Gateway { .. } | Event::Catalog { .. } => {}
            }
        }
        sleep_until(until.into()).await;
    }
}

//! Many sessions at once, each towards a far end of its own that takes no process.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use egress_core::api::SessionView;
use egress_core::id::GatewayId;
use serde_json::json;

use super::agent::Agent;
use super::container::Container;
use super::lab::Gateway;
use super::probes::Probes;
use super::responders::Responders;
use super::wireguard_peer::Client;
use super::world::{GROUP, gateway_id, request};

/// Callers that ask at one time: fewer than the daemon takes connections.
const CALLERS: usize = 100;
/// Longer than thousands of attaches take.
const DEADLINE_MS: u64 = 240_000;

/// Containers, and a far end for each.
pub struct Crowd {
    /// In the order of their far ends.
    pub containers: Vec<Container>,
    /// They answer.
    pub far_ends: Responders,
    first: u16,
}

impl Crowd {
    /// So many, with far ends on this gateway that the agent knows by numbers from `first` on.
    pub fn new(agent: &Agent<'_>, gateway: &Gateway, first: u16, count: u16) -> Self {
        egress_linux::process::raise_nofile_limit().expect("each far end has a socket");
        let client = Client::new(first);
        let far_ends = Responders::start(gateway, &client, count);
        agent.apply(&json!({
            "provider": [{ "name": "lab", "type": "wireguard" }],
            "gateway": far_ends.gateways_from(first),
            "mapping": [{ "provider": "lab", "group": GROUP }],
            "credential": [{
                "provider": "lab",
                "name": format!("crowd{first}"),
                "group": GROUP,
                "private_key": client.keys.private,
                "address": [format!("{}/32", client.v4)],
                "gateways": (first..first + count).map(gateway_id).collect::<Vec<_>>(),
            }],
        }));
        let numbers: Vec<_> = (first..first + count).collect();
        let containers = each(&numbers, |number| Container::named(&format!("c-{number}")));
        Self { containers, far_ends, first }
    }

    /// Attaches all of them, and asks in every one.
    pub fn attach(&self, agent: &Agent<'_>) -> Probes {
        let number = |place: usize| self.first + u16::try_from(place).expect("a u16");
        attach(agent, &self.containers, |place| gateway_id(number(place)));
        Probes::of(&self.containers)
    }
}

/// Attaches all of them, each to the gateway that `gateway` names, as soon as the daemon can.
pub fn attach(
    agent: &Agent<'_>,
    containers: &[Container],
    gateway: impl Fn(usize) -> GatewayId + Sync,
) -> Vec<SessionView> {
    let numbered: Vec<_> = containers.iter().enumerate().collect();
    each(&numbered, |(number, container)| {
        let mut asked = request(container.namespace().name(), container.by_path(), 0);
        asked.gateway = Some(gateway(*number));
        asked.deadline_ms = DEADLINE_MS;
        agent.attach(&asked).unwrap_or_else(|problem| panic!("attach: {problem:?}"))
    })
}

/// Does `work` with every item, with many at one time, and gives what came of it in their order.
pub fn each<I: Sync, T: Send>(items: &[I], work: impl Fn(&I) -> T + Sync) -> Vec<T> {
    let next = AtomicUsize::new(0);
    let take = || {
        let mut done = Vec::new();
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            let Some(item) = items.get(number) else { return done };
            done.push((number, work(item)));
        }
    };
    let mut done: Vec<_> = thread::scope(|scope| {
        let callers: Vec<_> = (0..CALLERS).map(|_| scope.spawn(take)).collect();
        callers.into_iter().flat_map(|caller| caller.join().expect("it is done")).collect()
    });
    done.sort_by_key(|(number, _)| *number);
    done.into_iter().map(|(_, value)| value).collect()
}

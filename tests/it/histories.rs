//! Any history of attaches, ends, failures and deaths keeps the limit and loses no slot.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use egress_core::api::Code;
use serde_json::json;

use crate::harness::agent::Agent;
use crate::harness::container::Container;
use crate::harness::keys::KeyPair;
use crate::harness::lab::in_lab;
use crate::harness::responders::{Responders, gateway_record};
use crate::harness::wait;
use crate::harness::wireguard_peer::Client;
use crate::harness::world::{GROUP, request, session_id};

const CONTAINERS: u8 = 8;
/// Gateways that answer; the one after them does not.
const GATEWAYS: u8 = 5;
const LIMIT: usize = 3;
const LASTING: Duration = Duration::from_secs(30);
const REAP: Duration = Duration::from_secs(5);

/// The agent, and what it should hold: which gateway each container is attached to.
struct Run<'a> {
    agent: Agent<'a>,
    containers: Vec<Container>,
    attached: BTreeMap<u8, u8>,
    made: u32,
}

fn name(number: u8) -> String {
    format!("c-{number}")
}

impl Run<'_> {
    fn step(&mut self, random: &mut fastrand::Rng) -> &'static str {
        let container = random.u8(0..CONTAINERS);
        match random.u8(0..12) {
            0..=5 => self.attach(container, random.u8(0..GATEWAYS)),
            6 | 7 => self.detach(container),
            8 => self.attach_in_vain(container),
            9 | 10 => self.end(container),
            _ => {
                self.agent.kill_control();
                self.agent.start_again();
                "kill -9"
            }
        }
    }

    fn attach(&mut self, container: u8, gateway: u8) -> &'static str {
        let namespace = self.containers[usize::from(container)].by_path();
        let result = self.agent.attach(&request(&name(container), namespace, gateway));
        let key_taken = self.attached.values().any(|taken| *taken == gateway);
        let expected = match self.attached.get(&container) {
            Some(same) if *same == gateway => Ok(()),
            Some(_) => Err(Code::SessionExists),
            None if self.attached.len() >= LIMIT => Err(Code::LimitReached),
            None if key_taken => Err(Code::KeyInUse),
            None => Ok(()),
        };
        let got = result.map(drop).map_err(|problem| problem.code);
        assert_eq!(got, expected, "attach {container} to {gateway} beside {:?}", self.attached);
        if got.is_ok() {
            self.attached.insert(container, gateway);
        }
        "attach"
    }

    /// Nobody answers there.
    fn attach_in_vain(&mut self, container: u8) -> &'static str {
        if self.attached.contains_key(&container) {
            return "nothing";
        }
        let namespace = self.containers[usize::from(container)].by_path();
        let mut asked = request(&name(container), namespace, GATEWAYS);
        asked.deadline_ms = 300;
        let code = self.agent.attach(&asked).expect_err("nobody answers").code;
        let full = self.attached.len() >= LIMIT;
        assert_eq!(code, if full { Code::LimitReached } else { Code::HandshakeTimeout });
        "attach in vain"
    }

    fn detach(&mut self, container: u8) -> &'static str {
        if self.attached.remove(&container).is_none() {
            return "nothing";
        }
        self.agent.detach(&session_id(&name(container)), true);
        "detach"
    }

    /// The container ends, and another takes its place.
    fn end(&mut self, container: u8) -> &'static str {
        self.made += 1;
        let next = Container::with_process(&format!("n-{}", self.made));
        std::mem::replace(&mut self.containers[usize::from(container)], next).destroy();
        self.attached.remove(&container);
        let id = session_id(&name(container));
        wait::until("the session has ended", REAP, || self.agent.session(&id).is_none());
        "end"
    }

    fn check(&self, when: &str) {
        let live = self.agent.live_connections() as usize;
        assert_eq!(live, self.attached.len(), "after {when}: {:?}", self.attached);
        assert!(live <= LIMIT);
    }
}

#[test]
fn a_random_history_keeps_the_limit_and_loses_no_slot() {
    in_lab(|lab| {
        let seed = fastrand::u64(..);
        println!("seed {seed}");
        let (gateway, client) = (lab.gateway(0), Client::new(0));
        let responders = Responders::start(&gateway, &client, GATEWAYS.into());
        let agent = Agent::start(lab);
        let silent = (gateway.v4(1), 9).into();
        let mut gateways = responders.gateways();
        gateways.push(gateway_record(GATEWAYS.into(), &silent, &KeyPair::random().public));
        agent.apply(&json!({
            "provider": [{ "name": "lab", "type": "wireguard" }],
            "gateway": gateways,
            "mapping": [{ "provider": "lab", "group": GROUP }],
            "credential": [{
                "provider": "lab",
                "name": "shared",
                "group": GROUP,
                "private_key": client.keys.private,
                "address": [format!("{}/32", client.v4)],
                "active_connection_limit": LIMIT,
            }],
        }));
        let containers = (0..CONTAINERS).map(|n| Container::with_process(&name(n))).collect();
        let mut run = Run { agent, containers, attached: BTreeMap::new(), made: 0 };
        let (mut random, begun) = (fastrand::Rng::with_seed(seed), Instant::now());
        let mut counts: BTreeMap<_, u32> = BTreeMap::new();
        while begun.elapsed() < LASTING {
            let step = run.step(&mut random);
            run.check(step);
            *counts.entry(step).or_default() += 1;
        }
        println!("{counts:?}");
        for container in 0..CONTAINERS {
            run.detach(container);
        }
        assert_eq!(run.agent.live_connections(), 0);
    });
}

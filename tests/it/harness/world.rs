//! A lab with everything running: one gateway, its clients' credentials, and the agent.

use egress_core::api::{AttachRequest, ContainmentProfile, NetnsRef, SessionView};
use egress_core::catalog::Subject;
use egress_core::id::{GatewayId, SessionId};
use serde_json::{Value, json};

use super::agent::Agent;
use super::container::Container;
use super::internet::Internet;
use super::lab::{Gateway, Lab, RESOLVER_V4};
use super::verdict::Allowed;
use super::wireguard_peer::{Client, Program, WireguardPeer};

/// Who attaches in these tests.
pub const GROUP: &str = "All Users";

/// A lab with one gateway, its far end and servers, and an agent that knows it.
pub struct World<'a> {
    /// The agent; dropped first.
    pub agent: Agent<'a>,
    /// The far end.
    pub peer: WireguardPeer,
    /// The far end's clients: one credential each.
    pub clients: Vec<Client>,
    /// Where the far end runs.
    pub gateway: Gateway,
    _internet: Internet,
}

impl<'a> World<'a> {
    /// A world where this many sessions find a credential, and `wireguard-go` is the far end.
    pub fn new(lab: &'a Lab, clients: u16) -> Self {
        Self::with(lab, clients, Program::WireguardGo, "")
    }

    /// A world with another far end and more lines of `agent.toml`.
    pub fn with(lab: &'a Lab, clients: u16, program: Program, config: &str) -> Self {
        let gateway = lab.gateway(0);
        let clients = Client::several(clients);
        let peer = WireguardPeer::start_as(program, &gateway, &clients);
        Self::around(lab, gateway, peer, clients, config)
    }

    /// A world around a far end that runs, with more lines of `agent.toml`.
    pub fn around(
        lab: &'a Lab,
        gateway: Gateway,
        peer: WireguardPeer,
        clients: Vec<Client>,
        config: &str,
    ) -> Self {
        let internet = Internet::behind(&gateway);
        let agent = Agent::start_with(lab, config);
        let world = Self { agent, peer, clients, gateway, _internet: internet };
        world.apply(&world.peer.endpoint(1).to_string());
        world
    }

    /// Applies the catalog with the gateway at this endpoint.
    pub fn apply(&self, endpoint: &str) {
        self.agent.apply(&catalog(&[(0, &self.peer, endpoint)], &self.clients));
    }

    /// What the sniffer may hear: tunnels to the first addresses of the gateway.
    pub fn allowed(&self) -> Allowed {
        Allowed::tunnels(&[self.peer.endpoint(1), self.peer.endpoint_v6(1)])
    }

    /// Attaches a new container and gives both.
    #[track_caller]
    pub fn attached(&self, name: &str) -> (Container, SessionView) {
        let container = Container::with_process(name);
        let session = self.agent.attach(&request(name, container.by_path(), 0));
        let session = session.unwrap_or_else(|problem| panic!("attach {name}: {problem:?}"));
        (container, session)
    }
}

/// The id of gateway number `number` in the catalog.
pub fn gateway_id(number: u16) -> GatewayId {
    let number = 0x100 + u32::from(number);
    format!("00000000-0000-7000-8000-{number:012x}").parse().expect("a UUID")
}

/// A session's id.
pub fn session_id(name: &str) -> SessionId {
    name.parse().expect("tests use good ids")
}

/// An attach as every test makes it, by a member of [`GROUP`].
pub fn request(name: &str, netns: NetnsRef, gateway: u8) -> AttachRequest {
    AttachRequest {
        session_id: session_id(name),
        netns,
        subject: Subject {
            user: Some("ann@example.org".to_owned()),
            groups: vec![GROUP.to_owned()],
            workspace: None,
        },
        gateway: Some(gateway_id(gateway.into())),
        profile: ContainmentProfile::Sealed,
        deadline_ms: 10_000,
        challenge_response: None,
    }
}

/// The wg-quick text of a gateway record: no key of a client's in it.
pub fn gateway_config(peer: &WireguardPeer, endpoint: &str) -> String {
    format!("[Interface]\nDNS = {RESOLVER_V4}\n\n{}", peer.peer_section(endpoint))
}

/// A catalog of these gateways, with one credential a client.
pub fn catalog(gateways: &[(u8, &WireguardPeer, &str)], clients: &[Client]) -> Value {
    let gateways: Vec<_> = gateways
        .iter()
        .map(|(number, peer, endpoint)| {
            json!({
                "id": gateway_id(u16::from(*number)),
                "provider": "lab",
                "name": format!("gw{number}"),
                "country": "NL",
                "city": "Amsterdam",
                "config": gateway_config(peer, endpoint),
            })
        })
        .collect();
    let credentials: Vec<_> = clients.iter().enumerate().map(credential).collect();
    json!({
        "provider": [{ "name": "lab", "type": "wireguard" }],
        "gateway": gateways,
        "mapping": [{ "provider": "lab", "group": GROUP, "gateways": "all" }],
        "credential": credentials,
    })
}

fn credential((number, client): (usize, &Client)) -> Value {
    json!({
        "id": format!("00000000-0000-7000-8000-{:012x}", 0x200 + number),
        "provider": "lab",
        "name": format!("client{number}"),
        "group": GROUP,
        "private_key": client.keys.private,
        "address": [format!("{}/32", client.v4), format!("{}/128", client.v6)],
        "gateways": "all",
    })
}

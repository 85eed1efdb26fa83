//! A lab with a far end, whichever protocol that speaks.

use std::net::SocketAddr;

use super::agent::Agent;
use super::lab::{Gateway, Lab};
use super::openvpn_world::OpenvpnWorld;
use super::verdict::Allowed;
use super::wireguard_peer::Program;
use super::world::World;

/// An agent with one gateway and a credential for it.
pub trait Scene<'a> {
    /// The agent.
    fn agent(&self) -> &Agent<'a>;
    /// The agent, to be killed and started.
    fn agent_mut(&mut self) -> &mut Agent<'a>;
    /// Where the far end runs.
    fn gateway(&self) -> &Gateway;
    /// What the sniffer may hear.
    fn allowed(&self) -> Allowed;
    /// Where the far end listens.
    fn end(&self) -> SocketAddr;
    /// Ends the far end without a word.
    fn stop_far_end(&mut self);
    /// Starts it again.
    fn restart_far_end(&mut self);
}

/// Makes a scene in a lab.
pub type Make = for<'a> fn(&'a Lab) -> Box<dyn Scene<'a> + 'a>;

/// With a `WireGuard` gateway.
pub fn wireguard<'a>(lab: &'a Lab) -> Box<dyn Scene<'a> + 'a> {
    Box::new(World::with(lab, 2, Program::WireguardGo, ""))
}

/// With an OpenVPN gateway.
pub fn openvpn<'a>(lab: &'a Lab) -> Box<dyn Scene<'a> + 'a> {
    Box::new(OpenvpnWorld::new(lab))
}

impl<'a> Scene<'a> for World<'a> {
    fn agent(&self) -> &Agent<'a> {
        &self.agent
    }

    fn agent_mut(&mut self) -> &mut Agent<'a> {
        &mut self.agent
    }

    fn gateway(&self) -> &Gateway {
        &self.gateway
    }

    fn allowed(&self) -> Allowed {
        World::allowed(self)
    }

    fn end(&self) -> SocketAddr {
        self.peer.endpoint(1)
    }

    fn stop_far_end(&mut self) {
        self.peer.stop();
    }

    fn restart_far_end(&mut self) {
        self.peer.restart();
    }
}

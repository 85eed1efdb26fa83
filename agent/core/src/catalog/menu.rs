//! The launch menu as it is sent. Order and words of each gateway's line are settled when the gateway
//! enters the catalog: they were most of what a long menu cost.

use serde::Serialize;

use super::Catalog;
use super::model::{Gateway, Subject};
use super::node::GatewayNode;
use super::select::{InUse, offered};
use crate::api::{Health, HiddenGateway};
use crate::id::{GatewayId, ProviderId};

/// The bytes of a line that its gateway's health takes, and a comma.
const HEALTH: usize = r#","health":"unknown"},"#.len();

/// A launch menu, ready to be sent.
pub struct Menu<'a> {
    offered: Vec<&'a GatewayNode>,
}

impl<'a> Menu<'a> {
    /// What a subject may choose now.
    pub fn of(catalog: &'a Catalog, in_use: &impl InUse, subject: &Subject) -> Self {
        Self { offered: offered(catalog, in_use, subject) }
    }

    /// The gateways in order.
    pub fn gateways(&self) -> impl Iterator<Item = &'a Gateway> {
        self.offered.iter().map(|node| &*node.record)
    }

    /// An [`crate::api::OfferList`] in JSON.
    pub fn json(
        &self,
        health: impl Fn(GatewayId) -> Health,
        hidden: Option<&[HiddenGateway]>,
    ) -> Vec<u8> {
        let length: usize = self.offered.iter().map(|node| node.line.len() + HEALTH).sum();
        let mut json = Vec::with_capacity(length + 64);
        json.extend_from_slice(br#"{"offers":["#);
        for (nth, node) in self.offered.iter().enumerate() {
            if nth > 0 {
                json.push(b',');
            }
            json.extend_from_slice(&node.line);
            json.extend_from_slice(end(health(node.record.id)));
        }
        json.push(b']');
        if let Some(hidden) = hidden {
            json.extend_from_slice(br#","hidden":"#);
            write(&mut json, hidden);
        }
        json.push(b'}');
        json
    }
}

/// How a line ends.
fn end(health: Health) -> &'static [u8] {
    match health {
        Health::Unknown => br#","health":"unknown"}"#,
        Health::Up => br#","health":"up"}"#,
        Health::Down => br#","health":"down"}"#,
    }
}

/// What stands first in a gateway's line; its health is still to come.
pub(super) fn line(gateway: &Gateway, provider: &str) -> Box<[u8]> {
    let mut json = Vec::new();
    write(&mut json, &Line::of(gateway, provider));
    json.pop();
    json.into_boxed_slice()
}

/// A [`crate::api::GatewayView`], borrowed.
#[derive(Serialize)]
struct Line<'a> {
    id: GatewayId,
    name: &'a str,
    provider_id: ProviderId,
    provider: &'a str,
    country: &'a str,
    city: &'a str,
}

impl<'a> Line<'a> {
    fn of(gateway: &'a Gateway, provider: &'a str) -> Self {
        let Gateway { id, name, provider_id, country, city, .. } = gateway;
        Self { id: *id, name, provider_id: *provider_id, provider, country, city }
    }
}

fn write(json: &mut Vec<u8>, value: &(impl Serialize + ?Sized)) {
    serde_json::to_writer(json, value).expect("it has text keys only, and memory takes it");
}

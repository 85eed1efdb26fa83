//! The launch menu as it is sent. Order and words of each gateway's line are settled once for a
//! catalog: they were most of what a long menu cost.

use std::collections::BTreeMap;
use std::ops::Range;

use serde::Serialize;

use super::model::{Gateway, Provider, Subject};
use super::select::{InUse, offered};
use super::{Catalog, Records};
use crate::api::{Health, HiddenGateway};
use crate::id::{GatewayId, ProviderId};

/// The bytes of a line that its gateway's health takes, and a comma.
const HEALTH: usize = r#","health":"unknown"},"#.len();

/// A launch menu, ready to be sent.
pub struct Menu<'a> {
    catalog: &'a Catalog,
    /// Positions in the catalog's gateways.
    offered: Vec<usize>,
}

impl<'a> Menu<'a> {
    /// What a subject may choose now.
    pub fn of(catalog: &'a Catalog, in_use: &impl InUse, subject: &Subject) -> Self {
        Self { catalog, offered: offered(catalog, in_use, subject) }
    }

    /// The gateways in order.
    pub fn gateways(&self) -> impl Iterator<Item = &'a Gateway> {
        self.offered.iter().map(|at| &self.catalog.records.gateways[*at])
    }

    /// An [`crate::api::OfferList`] in JSON.
    pub fn json(
        &self,
        health: impl Fn(GatewayId) -> Health,
        hidden: Option<&[HiddenGateway]>,
    ) -> Vec<u8> {
        let lines = &self.catalog.index.lines;
        let length: usize = self.offered.iter().map(|at| lines.of(*at).len() + HEALTH).sum();
        let mut json = Vec::with_capacity(length + 64);
        json.extend_from_slice(br#"{"offers":["#);
        for (nth, at) in self.offered.iter().enumerate() {
            if nth > 0 {
                json.push(b',');
            }
            json.extend_from_slice(lines.of(*at));
            json.extend_from_slice(end(health(self.catalog.records.gateways[*at].id)));
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

/// What stands first in each gateway's line, which lasts as long as its catalog.
#[derive(Debug, Default)]
pub(super) struct Lines {
    json: Vec<u8>,
    /// Beside the catalog's gateways.
    places: Vec<Range<usize>>,
}

impl Lines {
    pub fn new(records: &Records) -> Self {
        let by_id = |provider: &Provider| provider.id;
        let mut lines = Self::default();
        for gateway in &records.gateways {
            let provider = records.providers.binary_search_by_key(&gateway.provider_id, by_id);
            let provider = provider.map_or("", |at| &records.providers[at].name);
            lines.add(&Line::of(gateway, provider));
        }
        lines.json.shrink_to_fit();
        lines
    }

    fn add(&mut self, line: &Line<'_>) {
        let start = self.json.len();
        write(&mut self.json, line);
        // Its health is still to come.
        self.json.pop();
        self.places.push(start..self.json.len());
    }

    fn of(&self, at: usize) -> &[u8] {
        &self.json[self.places[at].clone()]
    }
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

/// The positions of each provider's gateways by country, city and name.
pub(super) fn in_order(records: &Records) -> BTreeMap<ProviderId, Vec<usize>> {
    let shown = |at: &usize| {
        let Gateway { country, city, name, .. } = &records.gateways[*at];
        (country, city, name)
    };
    let mut of_providers: BTreeMap<_, Vec<usize>> = BTreeMap::new();
    for (at, gateway) in records.gateways.iter().enumerate() {
        of_providers.entry(gateway.provider_id).or_default().push(at);
    }
    for positions in of_providers.values_mut() {
        positions.sort_by(|a, b| shown(a).cmp(&shown(b)));
    }
    of_providers
}

//! What was measured, of every peer in every round.

use std::collections::BTreeMap;

use serde_json::{Value, json};

/// What a figure is about.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Row {
    /// Figures of one table: the same far end and path.
    pub table: String,
    /// The traffic.
    pub traffic: String,
    /// What was measured, with its unit.
    pub measure: &'static str,
}

/// Figures by row, then by peer, in the order in which they first came.
#[derive(Debug, Default)]
pub struct Figures {
    rows: Vec<Row>,
    peers: Vec<&'static str>,
    values: BTreeMap<(usize, usize), Vec<f64>>,
}

/// The middle of the values, and the range.
#[derive(Debug, Clone, Copy)]
pub struct Spread {
    /// The middle one.
    pub median: f64,
    /// The smallest.
    pub least: f64,
    /// The largest.
    pub most: f64,
}

impl Figures {
    /// Adds one.
    pub fn add(&mut self, row: Row, peer: &'static str, value: f64) {
        let place = (index_of(&mut self.rows, row), index_of(&mut self.peers, peer));
        self.values.entry(place).or_default().push(value);
    }

    /// The rows in order.
    pub fn rows(&self) -> &[Row] {
        &self.rows
    }

    /// The peers in order.
    pub fn peers(&self) -> &[&'static str] {
        &self.peers
    }

    /// What was measured of a peer, by the row's and the peer's place.
    pub fn spread(&self, row: usize, peer: usize) -> Option<Spread> {
        let mut values = self.values.get(&(row, peer))?.clone();
        values.sort_by(f64::total_cmp);
        let (least, most) = (*values.first()?, *values.last()?);
        let middle = values.len() / 2;
        let median = if values.len() % 2 == 1 {
            values[middle]
        } else {
            f64::midpoint(values[middle - 1], values[middle])
        };
        Some(Spread { median, least, most })
    }

    /// All values.
    pub fn json(&self) -> Value {
        let entry = |(place, values): (&(usize, usize), &Vec<f64>)| {
            let (row, peer) = (&self.rows[place.0], self.peers[place.1]);
            let median = self.spread(place.0, place.1).map(|spread| spread.median);
            json!({
                "table": row.table, "traffic": row.traffic, "measure": row.measure,
                "peer": peer, "median": median, "values": values,
            })
        };
        self.values.iter().map(entry).collect()
    }
}

fn index_of<T: PartialEq>(list: &mut Vec<T>, value: T) -> usize {
    list.iter().position(|known| *known == value).unwrap_or_else(|| {
        list.push(value);
        list.len() - 1
    })
}

//! Things by the gateways they are for.

use std::collections::BTreeMap;

use crate::catalog::model::GatewayScope;
use crate::id::GatewayId;

/// Things by the gateways they are for, so that a long menu does not ask each thing about each
/// gateway.
pub(super) struct Cover<T> {
    everywhere: Vec<T>,
    selected: BTreeMap<GatewayId, Vec<T>>,
}

impl<T> Default for Cover<T> {
    fn default() -> Self {
        Self { everywhere: Vec::new(), selected: BTreeMap::new() }
    }
}

impl<T: Copy> Cover<T> {
    pub fn add(&mut self, scope: &GatewayScope, thing: T) {
        match scope {
            GatewayScope::All => self.everywhere.push(thing),
            GatewayScope::Selected(ids) => {
                for id in ids {
                    self.selected.entry(*id).or_default().push(thing);
                }
            }
        }
    }

    pub fn of(&self, gateway: GatewayId) -> impl Iterator<Item = &T> {
        self.everywhere.iter().chain(self.selected.get(&gateway).into_iter().flatten())
    }

    pub fn has(&self, gateway: GatewayId) -> bool {
        !self.everywhere.is_empty() || self.selected.contains_key(&gateway)
    }
}

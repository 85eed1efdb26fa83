//! What keeps the agent from its work just now, by part.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::host_needs;

/// A part of the agent that can be in trouble on its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Part {
    /// The agent as a whole, which is on its way up or down.
    Agent,
    /// The process that carries packets.
    Dataplane,
    /// The file by which callers on this host reach the API.
    ApiSocket,
    /// What tunnels' devices are made with.
    Tun,
    /// What seals containers.
    Nftables,
}

/// The troubles that there are. Clones share them.
#[derive(Debug, Clone, Default)]
pub struct Readiness(Arc<Mutex<BTreeMap<Part, String>>>);

impl Part {
    /// Every part.
    pub const ALL: [Self; 5] =
        [Self::Agent, Self::Dataplane, Self::ApiSocket, Self::Tun, Self::Nftables];

    /// As `/readyz` names it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Agent => "agent",
            Self::Dataplane => "data plane",
            Self::ApiSocket => "API socket",
            Self::Tun => "/dev/net/tun",
            Self::Nftables => "nftables",
        }
    }
}

impl Readiness {
    /// A part is in trouble, for this reason.
    pub fn trouble(&self, part: Part, why: impl Into<String>) {
        self.troubles().insert(part, why.into());
    }

    /// A part does its work.
    pub fn clear(&self, part: Part) {
        self.troubles().remove(&part);
    }

    /// Looks whether the host has what the agent needs, which may come and go.
    pub fn look_at_the_host(&self) {
        for (part, looked) in
            [(Part::Tun, host_needs::tun()), (Part::Nftables, host_needs::nftables())]
        {
            match looked {
                Ok(()) => self.clear(part),
                Err(lack) => self.trouble(part, lack.text()),
            }
        }
    }

    /// Why a part is in trouble; `None` where it is not.
    pub fn why(&self, part: Part) -> Option<String> {
        self.troubles().get(&part).cloned()
    }

    /// One line for each part that is in trouble; `None` where none is.
    pub fn report(&self) -> Option<String> {
        let troubles = self.troubles();
        let mut report = String::new();
        for (part, why) in &*troubles {
            let _ = writeln!(report, "{}: {why}", part.as_str());
        }
        (!report.is_empty()).then_some(report)
    }

    fn troubles(&self) -> MutexGuard<'_, BTreeMap<Part, String>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_part_has_a_line_for_as_long_as_it_is_in_trouble() {
        let readiness = Readiness::default();
        assert_eq!(readiness.report(), None);
        readiness.trouble(Part::ApiSocket, "it is gone");
        readiness.trouble(Part::Dataplane, "it does not answer");
        readiness.trouble(Part::Dataplane, "it does not start");
        let report = "data plane: it does not start\nAPI socket: it is gone\n";
        assert_eq!(readiness.report().as_deref(), Some(report));
        readiness.clear(Part::Dataplane);
        readiness.clear(Part::ApiSocket);
        assert_eq!(readiness.report(), None);
    }
}

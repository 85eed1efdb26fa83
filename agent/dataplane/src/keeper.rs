//! Devices that other processes move the packets of, kept so that they outlive those.

use std::collections::BTreeMap;
use std::os::fd::OwnedFd;

use crate::order::Answer;
use crate::protocol::{Reply, TunnelId};

/// The most devices: as many numbers fit into one [`Reply::Hello`] beside those of the tunnels.
pub const KEPT_MAX: usize = 4096;

/// Kept devices. Nothing is read from them here.
#[derive(Debug, Default)]
pub struct Keeper(BTreeMap<TunnelId, OwnedFd>);

impl Keeper {
    /// Whether none is kept.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Their numbers, lowest first.
    pub fn kept(&self) -> Vec<TunnelId> {
        self.0.keys().copied().collect()
    }

    /// Keeps a device, in place of a former one of that number.
    pub fn keep(&mut self, tunnel: TunnelId, fds: Vec<OwnedFd>) -> Reply {
        if self.0.len() >= KEPT_MAX && !self.0.contains_key(&tunnel) {
            return Reply::Failed { reason: format!("{KEPT_MAX} devices are enough") };
        }
        let Ok([device]) = <[OwnedFd; 1]>::try_from(fds) else {
            return Reply::Failed { reason: format!("tunnel {tunnel}: expected one descriptor") };
        };
        self.0.insert(tunnel, device);
        Reply::Done
    }

    /// Closes a device; whether it was kept.
    pub fn drop(&mut self, tunnel: TunnelId) -> bool {
        self.0.remove(&tunnel).is_some()
    }

    /// A duplicate of a device, if it is kept.
    pub fn export(&self, tunnel: TunnelId) -> Option<Answer> {
        let device = self.0.get(&tunnel)?.try_clone();
        Some(match device {
            Ok(device) => Answer { reply: Reply::Kept, fds: vec![device] },
            Err(error) => Answer::failed(&error),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn device() -> OwnedFd {
        std::fs::File::open("/dev/null").unwrap().into()
    }

    #[test]
    fn a_device_is_kept_until_it_is_dropped() {
        let mut keeper = Keeper::default();
        assert_eq!(keeper.keep(7, vec![device()]), Reply::Done);
        assert_eq!(keeper.keep(7, vec![device()]), Reply::Done, "again");
        assert_eq!(keeper.kept(), [7]);
        let answer = keeper.export(7).unwrap();
        assert_eq!((answer.reply, answer.fds.len()), (Reply::Kept, 1));
        assert!(keeper.drop(7) && !keeper.drop(7) && keeper.is_empty());
        assert!(keeper.export(7).is_none());
    }

    #[test]
    fn one_descriptor_is_one_device() {
        let mut keeper = Keeper::default();
        for fds in [vec![], vec![device(), device()]] {
            assert!(matches!(keeper.keep(1, fds), Reply::Failed { .. }));
        }
        assert!(keeper.is_empty());
    }
}

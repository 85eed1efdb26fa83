//! Waits for many descriptors and knows whose each is.

use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

use rustix::event::{Timespec, epoll};
use rustix::io::{self, Errno};

/// What is ready beyond that comes first in the next wait. Small, so that whoever has a full turn's
/// packets does not wait for the handshakes of all the others.
const EVENTS_AT_ONCE: usize = 64;
const BELL: u64 = u64::MAX;
/// The lowest bits of a token say which descriptor of the tunnel it is.
const PLACE_BITS: u32 = 32;

/// Whose descriptor it is. Slots are the worker's numbers for tunnels, never used twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// The worker's bell.
    Bell,
    /// A tunnel's device.
    Device {
        /// The tunnel's.
        slot: u64,
    },
    /// A tunnel's socket.
    Peer {
        /// The tunnel's.
        slot: u64,
        /// The peer's place in it.
        index: u16,
    },
}

impl Source {
    fn token(self) -> u64 {
        match self {
            Self::Bell => BELL,
            Self::Device { slot } => slot << PLACE_BITS,
            Self::Peer { slot, index } => slot << PLACE_BITS | (u64::from(index) + 1),
        }
    }

    fn of(token: u64) -> Self {
        if token == BELL {
            return Self::Bell;
        }
        let slot = token >> PLACE_BITS;
        let place = token & ((1 << PLACE_BITS) - 1);
        match place.checked_sub(1).and_then(|index| u16::try_from(index).ok()) {
            None => Self::Device { slot },
            Some(index) => Self::Peer { slot, index },
        }
    }
}

/// A descriptor has something to say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ready {
    /// Whose.
    pub source: Source,
    /// It has an error or a hang-up: for a device, that it is dead; for a socket, the fate of a
    /// datagram.
    pub failed: bool,
}

/// An epoll.
#[derive(Debug)]
pub struct Poller {
    epoll: OwnedFd,
    ready: Vec<Ready>,
}

impl Poller {
    /// One that waits for nothing.
    pub fn new() -> io::Result<Self> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        Ok(Self { epoll, ready: Vec::with_capacity(EVENTS_AT_ONCE) })
    }

    /// Begins to watch a descriptor for something to read.
    pub fn watch(&self, fd: impl AsFd, source: Source) -> io::Result<()> {
        let token = epoll::EventData::new_u64(source.token());
        epoll::add(&self.epoll, fd, token, epoll::EventFlags::IN)
    }

    /// Stops watching a descriptor. Closing it would not do: control holds duplicates, and the
    /// kernel watches what they stand for.
    pub fn unwatch(&self, fd: impl AsFd) {
        // It can only fail for a descriptor that is not watched, which is the wanted state.
        let _ = epoll::delete(&self.epoll, fd);
    }

    /// Waits at most so long. What is ready is in [`Poller::next`] until that is empty; what is
    /// not handled then is ready again in the next wait.
    pub fn wait(&mut self, timeout: Duration) -> io::Result<()> {
        self.ready.clear();
        let timeout = Timespec::try_from(timeout).map_err(|_| Errno::INVAL)?;
        let mut events = [MaybeUninit::uninit(); EVENTS_AT_ONCE];
        match epoll::wait(&self.epoll, &mut events, Some(&timeout)) {
            Ok((events, _)) => self.ready.extend(events.iter().map(ready)),
            Err(Errno::INTR) => {}
            Err(error) => return Err(error),
        }
        Ok(())
    }

    /// The next that is ready, in no special order.
    pub fn next(&mut self) -> Option<Ready> {
        self.ready.pop()
    }
}

fn ready(event: &epoll::Event) -> Ready {
    // Copies: the kernel packs its event.
    let (flags, data) = (event.flags, event.data);
    let failed = flags.intersects(epoll::EventFlags::ERR | epoll::EventFlags::HUP);
    Ready { source: Source::of(data.u64()), failed }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_token_names_its_source(slot in 0u64..1 << 31, index: u16) {
            for source in [Source::Bell, Source::Device { slot }, Source::Peer { slot, index }] {
                prop_assert_eq!(Source::of(source.token()), source);
            }
        }
    }
}

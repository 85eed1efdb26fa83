//! The addresses of a gateway, tried one after another.

use crate::openvpn::supervision::Address;

/// The most addresses that are tried before names are looked up again.
const ADDRESSES_MAX: usize = 64;

/// One time through all addresses.
#[derive(Debug, Default)]
pub(super) struct Round {
    addresses: Vec<Address>,
    next: usize,
}

impl Round {
    /// In this order; or, with a seed, in one that follows from it.
    pub fn new(mut addresses: Vec<Address>, shuffle: Option<u64>) -> Self {
        if let Some(seed) = shuffle {
            mix(&mut addresses, seed);
        }
        addresses.truncate(ADDRESSES_MAX);
        Self { addresses, next: 0 }
    }

    /// The next one, until all have been given.
    pub fn next(&mut self) -> Option<Address> {
        let address = self.addresses.get(self.next).copied()?;
        self.next += 1;
        Some(address)
    }

    /// Whether there is a next one.
    pub fn goes_on(&self) -> bool {
        self.next < self.addresses.len()
    }

    /// Starts over, with the one that was given last.
    pub fn again_from_here(&mut self) {
        let here = self.next.saturating_sub(1);
        if here < self.addresses.len() {
            self.addresses.rotate_left(here);
        }
        self.next = 0;
    }
}

/// Fisher and Yates's shuffle over Marsaglia's xorshift64; for spreading load, not for secrets.
fn mix(addresses: &mut [Address], seed: u64) {
    let mut random = seed | 1;
    for last in (1..addresses.len()).rev() {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        let bound = u64::try_from(last).unwrap_or(u64::MAX).saturating_add(1);
        addresses.swap(last, usize::try_from(random % bound).unwrap_or(last));
    }
}

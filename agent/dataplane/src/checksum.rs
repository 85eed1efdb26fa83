//! The internet checksum (RFC 1071).

/// A one's complement sum, not folded yet. It may take in 16 GiB before it overflows.
///
/// It is made of words in this machine's byte order: RFC 1071 shows that the result, written in
/// that order, is the same.
#[derive(Debug, Clone, Copy, Default)]
pub struct Sum(u64);

impl Sum {
    /// Takes in more bytes. All parts but the last must be of even length.
    #[must_use]
    pub fn with(self, bytes: &[u8]) -> Self {
        let (words, rest) = bytes.as_chunks();
        // Two sums that the compiler keeps in vectors, whatever the processor.
        let (mut lows, mut highs) = (0, 0);
        for word in words {
            let word = u64::from_ne_bytes(*word);
            lows += word & u64::from(u32::MAX);
            highs += word >> 32;
        }
        let (pairs, last) = rest.as_chunks();
        let last = last.first().map(|byte| [*byte, 0]);
        let rest =
            pairs.iter().copied().chain(last).map(|pair| u64::from(u16::from_ne_bytes(pair)));
        Self(self.0 + lows + highs + rest.sum::<u64>())
    }

    /// Takes in a number as the network writes it.
    #[must_use]
    pub fn with_u16(self, number: u16) -> Self {
        Self(self.0 + u64::from(u16::from_ne_bytes(number.to_be_bytes())))
    }

    /// The sum itself, as it stands in a packet whose checksum somebody else will complete.
    pub fn partial(self) -> [u8; 2] {
        self.fold().to_ne_bytes()
    }

    /// The checksum, as it stands in a packet.
    pub fn checksum(self) -> [u8; 2] {
        (!self.fold()).to_ne_bytes()
    }

    /// Whether the bytes hold a checksum of themselves that is right.
    pub fn is_right(self) -> bool {
        self.fold() == u16::MAX
    }

    fn fold(self) -> u16 {
        let mut sum = self.0;
        while let Some(carry) = Some(sum >> 16).filter(|carry| *carry > 0) {
            sum = (sum & 0xffff) + carry;
        }
        u16::try_from(sum).unwrap_or(u16::MAX)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// RFC 1071, section 4.1, word for word.
    fn naive(bytes: &[u8]) -> [u8; 2] {
        let words = bytes.chunks(2).map(|pair| [pair[0], pair.get(1).copied().unwrap_or(0)]);
        let mut sum: u32 = words.map(|word| u32::from(u16::from_be_bytes(word))).sum();
        while sum >> 16 != 0 {
            sum = (sum & 0xffff) + (sum >> 16);
        }
        (!u16::try_from(sum).unwrap()).to_be_bytes()
    }

    #[test]
    fn the_example_of_the_rfc_is_right() {
        let bytes = [0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7];
        assert_eq!(Sum::default().with(&bytes).partial(), [0xdd, 0xf2]);
    }

    #[test]
    fn the_largest_packet_of_ones_does_not_overflow() {
        let bytes = vec![0xff; 65_535];
        assert_eq!(Sum::default().with(&bytes).checksum(), naive(&bytes));
    }

    proptest! {
        #[test]
        fn it_is_the_checksum_of_the_rfc(bytes in prop::collection::vec(any::<u8>(), 0..3000)) {
            prop_assert_eq!(Sum::default().with(&bytes).checksum(), naive(&bytes));
        }

        #[test]
        fn parts_make_the_same_sum_as_the_whole(bytes: Vec<u8>, cut: prop::sample::Index, number: u16) {
            let cut = cut.index(bytes.len() + 1) / 2 * 2;
            let (head, tail) = bytes.split_at(cut);
            let parts = Sum::default().with_u16(number).with(head).with(tail);
            let whole: Vec<u8> = number.to_be_bytes().into_iter().chain(bytes.clone()).collect();
            prop_assert_eq!(parts.checksum(), naive(&whole));
        }

        #[test]
        fn a_checksum_makes_its_bytes_right_and_one_changed_bit_makes_them_wrong(
            mut bytes in prop::collection::vec(any::<u8>(), 2..200),
            at: prop::sample::Index, bit in 0u32..8,
        ) {
            bytes[..2].fill(0);
            let checksum = Sum::default().with(&bytes).checksum();
            bytes[..2].copy_from_slice(&checksum);
            prop_assert!(Sum::default().with(&bytes).is_right());
            *at.get_mut(&mut bytes) ^= 1 << bit;
            prop_assert!(!Sum::default().with(&bytes).is_right());
        }
    }
}

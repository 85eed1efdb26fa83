//! The outer header of a WireGuard message (paper, section 5.4).

/// What a packet becomes longer by.
pub const DATA_OVERHEAD: usize = 32;

/// What a datagram says it is. Nothing is authentic here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Message {
    /// The first message of a handshake.
    Initiation,
    /// Its answer, from the holder of `sender`.
    Response {
        /// The index that data for this session will name.
        sender: u32,
    },
    /// "I am busy: prove your address."
    Cookie,
    /// A packet or keepalive for the session that `receiver` names.
    Data {
        /// Our index of the session.
        receiver: u32,
        /// Bytes of inner packet and padding; 0 in a keepalive.
        len: usize,
    },
}

impl Message {
    /// Whether to look at it takes the curve.
    pub fn is_handshake(self) -> bool {
        match self {
            Self::Initiation | Self::Response { .. } => true,
            Self::Cookie | Self::Data { .. } => false,
        }
    }

    /// Whether an authentic answer of some kind must come, a keepalive at the least.
    pub fn wants_answer(self) -> bool {
        match self {
            Self::Initiation => true,
            Self::Data { len, .. } => len > 0,
            Self::Response { .. } | Self::Cookie => false,
        }
    }

    /// Reads the type and the first index; `None` when it is no message of WireGuard's.
    pub fn parse(datagram: &[u8]) -> Option<Self> {
        let (kind, rest) = datagram.split_first_chunk::<4>()?;
        let index = u32::from_le_bytes(*rest.first_chunk::<4>()?);
        match (u32::from_le_bytes(*kind), datagram.len()) {
            (1, 148) => Some(Self::Initiation),
            (2, 92) => Some(Self::Response { sender: index }),
            (3, 64) => Some(Self::Cookie),
            (4, len @ DATA_OVERHEAD..) => {
                Some(Self::Data { receiver: index, len: len - DATA_OVERHEAD })
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn datagram(kind: u8, len: usize) -> Vec<u8> {
        let mut datagram = vec![0; len];
        datagram[0] = kind;
        datagram[4] = 7;
        datagram
    }

    #[test]
    fn each_message_is_known_by_its_type_and_length() {
        assert_eq!(Message::parse(&datagram(1, 148)), Some(Message::Initiation));
        assert_eq!(Message::parse(&datagram(2, 92)), Some(Message::Response { sender: 7 }));
        assert_eq!(Message::parse(&datagram(3, 64)), Some(Message::Cookie));
        assert_eq!(Message::parse(&datagram(4, 48)), Some(Message::Data { receiver: 7, len: 16 }));
    }

    #[test]
    fn anything_else_is_none() {
        for (kind, len) in [(0, 148), (1, 147), (2, 93), (3, 65), (4, 31), (5, 64), (4, 8)] {
            assert_eq!(Message::parse(&datagram(kind, len)), None, "type {kind}, {len} bytes");
        }
        assert_eq!(Message::parse(&[4, 0, 0, 0]), None);
        assert_eq!(Message::parse(&[]), None);
    }
}

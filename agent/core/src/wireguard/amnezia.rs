//! AmneziaWG's parameters. Those that leave packets as WireGuard makes them may stand in a config.

use crate::fault::Finding;

/// A parameter that changes what packets look like.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Parameter {
    /// `Jc`: how many packets without meaning go before a handshake.
    JunkCount,
    /// `Jmin`: the bytes of the smallest of them.
    JunkLeast,
    /// `Jmax`: the bytes of the largest.
    JunkMost,
    /// `S1` to `S4`: the bytes that are put before messages of one kind.
    Padding(u8),
    /// `H1` to `H4`: the number of a kind of message.
    Header(u8),
    /// `I1` to `I5`: packets that imitate another protocol.
    Decoy(u8),
}

impl Parameter {
    /// Whether the config can be taken with this value. No finding repeats it.
    pub fn judge(self, value: &str) -> Finding {
        match self.without_effect(value) {
            Ok(()) => Finding::note("AmneziaWG's, and without effect: ignored"),
            Err(expected) => Finding::fault(format!(
                "an AmneziaWG config: its packets look different from WireGuard's, and the agent \
                 makes only those. It would be taken with {expected}"
            )),
        }
    }

    /// An error is what would have no effect.
    fn without_effect(self, value: &str) -> Result<(), String> {
        let is_number = !value.is_empty() && value.bytes().all(|b| b.is_ascii_digit());
        let unless = |fits: bool, expected: &str| {
            if fits { Ok(()) } else { Err(expected.to_owned()) }
        };
        match self {
            Self::JunkCount | Self::Padding(_) => unless(value == "0", "0 here"),
            Self::JunkLeast | Self::JunkMost => unless(is_number, "a number here, and Jc = 0"),
            Self::Header(number) => unless(value == number.to_string(), &format!("{number} here")),
            Self::Decoy(_) => unless(value.is_empty(), "this line left out"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_leaves_packets_as_they_are_is_ignored_and_the_rest_is_told_what_would_be_taken() {
        let neutral = [
            (Parameter::JunkCount, "0"),
            (Parameter::JunkLeast, "40"),
            (Parameter::JunkMost, "70"),
            (Parameter::Padding(4), "0"),
            (Parameter::Header(3), "3"),
            (Parameter::Decoy(1), ""),
        ];
        for (parameter, value) in neutral {
            assert!(!parameter.judge(value).is_fault(), "{parameter:?} = {value}");
        }
        let others = [
            (Parameter::JunkCount, "4", "with 0 here"),
            (Parameter::JunkMost, "many", "a number here, and Jc = 0"),
            (Parameter::Padding(1), "", "with 0 here"),
            (Parameter::Header(1), "2", "with 1 here"),
            (Parameter::Header(4), "4-9", "with 4 here"),
            (Parameter::Decoy(2), "<b 0xc0>", "this line left out"),
        ];
        for (parameter, value, expected) in others {
            let fault = parameter.judge(value);
            assert!(fault.is_fault() && fault.message.ends_with(expected), "{fault}");
        }
    }
}

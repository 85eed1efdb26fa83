//! Netlink attributes: written for the kernel, and compared with what it tells.

use netlink_packet_core::NlasIterator;

/// `struct nlattr`: length, type.
const HEADER: usize = 4;
const NLA_F_NESTED: u16 = 1 << 15;

/// An attribute as the kernel is told it.
#[derive(Debug, Clone)]
pub(super) struct Attribute {
    kind: u16,
    value: Value,
}

#[derive(Debug, Clone)]
enum Value {
    Bytes(Vec<u8>),
    Nest(Vec<Attribute>),
}

impl Attribute {
    /// One of bytes.
    pub(super) fn bytes(kind: u16, bytes: &[u8]) -> Attribute {
        Attribute { kind, value: Value::Bytes(bytes.to_vec()) }
    }

    /// One that holds others.
    pub(super) fn nest(kind: u16, attributes: Vec<Attribute>) -> Attribute {
        Attribute { kind, value: Value::Nest(attributes) }
    }

    /// One that holds a text.
    pub(super) fn text(kind: u16, text: &str) -> Attribute {
        Attribute::bytes(kind, &[text.as_bytes(), b"\0"].concat())
    }

    /// One that holds a number of 32 bits.
    pub(super) fn number(kind: u16, number: u32) -> Attribute {
        Attribute::bytes(kind, &number.to_be_bytes())
    }

    /// One that holds a number of 64 bits.
    pub(super) fn long(kind: u16, number: u64) -> Attribute {
        Attribute::bytes(kind, &number.to_be_bytes())
    }

    /// As the kernel reads it. A value is at most as long as a rule: a longer one has a wrong
    /// length, and is refused.
    fn write(&self, to: &mut Vec<u8>) {
        let start = to.len();
        to.resize(start + HEADER, 0);
        let nested = match &self.value {
            Value::Bytes(bytes) => {
                to.extend(bytes);
                0
            }
            Value::Nest(attributes) => {
                for attribute in attributes {
                    attribute.write(to);
                }
                NLA_F_NESTED
            }
        };
        let length = u16::try_from(to.len() - start).unwrap_or(u16::MAX);
        to[start..start + 2].copy_from_slice(&length.to_ne_bytes());
        to[start + 2..start + HEADER].copy_from_slice(&(self.kind | nested).to_ne_bytes());
        to.resize(to.len().next_multiple_of(HEADER), 0);
    }

    fn is(&self, found: &[u8]) -> bool {
        match &self.value {
            Value::Bytes(bytes) => bytes == found,
            Value::Nest(attributes) => hold(attributes, found),
        }
    }
}

/// Attributes as the kernel reads them.
pub(super) fn written(attributes: &[Attribute]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for attribute in attributes {
        attribute.write(&mut bytes);
    }
    bytes
}

/// Whether the kernel tells just these attributes, in whatever order. Others may be there if they
/// are zero: a newer kernel tells more of its defaults.
pub(super) fn hold(wanted: &[Attribute], found: &[u8]) -> bool {
    read(found).is_some_and(|found| are(wanted, &found))
}

/// The same, of attributes that were read.
pub(super) fn are(wanted: &[Attribute], found: &[(u16, &[u8])]) -> bool {
    let all_found = wanted.iter().all(|wanted| {
        let mut same_kind = found.iter().filter(|(kind, _)| *kind == wanted.kind);
        same_kind.next().is_some_and(|(_, value)| wanted.is(value)) && same_kind.next().is_none()
    });
    let mut others =
        found.iter().filter(|(kind, _)| wanted.iter().all(|wanted| wanted.kind != *kind));
    all_found && others.all(|(_, value)| value.iter().all(|byte| *byte == 0))
}

/// Attributes by kind and value; `None` where they are cut off.
pub(super) fn read(attributes: &[u8]) -> Option<Vec<(u16, &[u8])>> {
    let all = NlasIterator::new(attributes).map(|attribute| {
        let attribute = attribute.ok()?;
        let (kind, end) = (attribute.kind(), attribute.length().into());
        Some((kind, attribute.into_inner().get(HEADER..end)?))
    });
    all.collect()
}

/// The value of the first attribute of this kind.
pub(super) fn value(attributes: &[u8], kind: u16) -> Option<&[u8]> {
    read(attributes)?.into_iter().find(|(is, _)| *is == kind).map(|(_, value)| value)
}

/// A text's value.
pub(super) fn text(value: &[u8]) -> Option<&str> {
    std::str::from_utf8(value).ok()?.strip_suffix('\0')
}

/// A value of 32 bits.
pub(super) fn number(value: &[u8]) -> Option<u32> {
    Some(u32::from_be_bytes(value.try_into().ok()?))
}

/// A value of 64 bits.
pub(super) fn long(value: &[u8]) -> Option<u64> {
    Some(u64::from_be_bytes(value.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted() -> Vec<Attribute> {
        let inner = vec![Attribute::bytes(1, b"abc"), Attribute::number(2, 7)];
        vec![Attribute::text(1, "name"), Attribute::nest(2, inner)]
    }

    #[test]
    fn what_was_written_is_what_is_wanted_in_whatever_order() {
        let mut reversed = wanted();
        reversed.reverse();
        assert!(hold(&wanted(), &written(&wanted())));
        assert!(hold(&wanted(), &written(&reversed)));
    }

    #[test]
    fn one_that_is_missing_or_other_or_twice_makes_a_difference() {
        let name = Attribute::text(1, "name");
        let short = Attribute::nest(2, vec![Attribute::bytes(1, b"abc")]);
        let other = vec![Attribute::bytes(1, b"abd"), Attribute::number(2, 7)];
        let [twice, same] = [wanted(), wanted()];
        for found in [
            vec![name.clone()],
            vec![name.clone(), short],
            vec![name.clone(), Attribute::nest(2, other)],
            [twice, vec![name]].concat(),
        ] {
            assert!(!hold(&same, &written(&found)), "{found:?}");
        }
    }

    #[test]
    fn more_than_was_wanted_makes_a_difference_unless_it_is_nothing() {
        let more = |number| [wanted(), vec![Attribute::number(9, number)]].concat();
        assert!(hold(&wanted(), &written(&more(0))));
        assert!(!hold(&wanted(), &written(&more(1))));
    }

    #[test]
    fn what_is_cut_off_is_not_what_is_wanted() {
        let bytes = written(&wanted());
        for length in 0..bytes.len() {
            assert!(!hold(&wanted(), &bytes[..length]), "{length}");
        }
    }
}

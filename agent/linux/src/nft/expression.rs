//! Rules, in the kernel's expressions.

use std::net::IpAddr;

use egress_core::firewall::{Hook, Rule, Test, Verdict};
use ipnet::IpNet;

use super::{attribute::Attribute, uapi};

/// A step of a rule.
pub(super) struct Expression {
    /// Which of the kernel's.
    pub(super) name: &'static str,
    /// Its own attributes, but for the set's name and number.
    pub(super) attributes: Vec<Attribute>,
    /// The set that it looks into.
    pub(super) set: Option<Set>,
}

/// A set without a name.
pub(super) struct Set {
    pub(super) key_type: u32,
    pub(super) key_bytes: u32,
    /// Whether its elements are where ranges begin and end.
    pub(super) ranges: bool,
    /// Its elements, in order.
    pub(super) elements: Vec<Element>,
}

/// A key of a set; true where a range has ended.
pub(super) type Element = (Vec<u8>, bool);

impl Set {
    /// What makes it this set, but for its elements.
    pub(super) fn attributes(&self) -> [Attribute; 3] {
        let interval = if self.ranges { uapi::NFT_SET_INTERVAL } else { 0 };
        let flags = uapi::NFT_SET_ANONYMOUS | uapi::NFT_SET_CONSTANT | interval;
        [
            Attribute::number(uapi::NFTA_SET_FLAGS, flags),
            Attribute::number(uapi::NFTA_SET_KEY_TYPE, self.key_type),
            Attribute::number(uapi::NFTA_SET_KEY_LEN, self.key_bytes),
        ]
    }
}

/// The number of a chain's hook.
pub(super) fn hook_number(hook: Hook) -> u32 {
    match hook {
        Hook::Input => uapi::NF_INET_LOCAL_IN,
        Hook::Forward => uapi::NF_INET_FORWARD,
        Hook::Output => uapi::NF_INET_LOCAL_OUT,
    }
}

/// What the kernel makes of a rule.
pub(super) fn expressions(rule: &Rule) -> Vec<Expression> {
    let mut compiler = Compiler(Vec::new());
    for test in &rule.tests {
        compiler.test(test);
    }
    if let Some(counter) = rule.counter {
        compiler.count(counter);
    }
    compiler.decide(rule.verdict);
    compiler.0
}

struct Compiler(Vec<Expression>);

impl Compiler {
    fn test(&mut self, test: &Test) {
        match test {
            Test::From(link) => self.link(uapi::NFT_META_IIF, uapi::NFT_CMP_EQ, *link),
            Test::To(link) => self.link(uapi::NFT_META_OIF, uapi::NFT_CMP_EQ, *link),
            Test::NotTo(link) => self.link(uapi::NFT_META_OIF, uapi::NFT_CMP_NEQ, *link),
            Test::Ipv4 => self.family(uapi::NFPROTO_IPV4),
            Test::Ipv6 => self.family(uapi::NFPROTO_IPV6),
            Test::Destination(nets) => self.destination(nets),
            Test::Port(ports) => self.port(ports),
            Test::Answer => self.answer(),
        }
    }

    fn link(&mut self, key: u32, operator: u32, index: u32) {
        self.meta(key);
        self.compare(operator, &index.to_ne_bytes());
    }

    fn family(&mut self, family: u8) {
        self.meta(uapi::NFT_META_NFPROTO);
        self.compare(uapi::NFT_CMP_EQ, &[family]);
    }

    fn destination(&mut self, nets: &[IpNet]) {
        // Where the address stands in the header, and how long it is.
        let (family, offset, bytes, key_type) = match nets.first() {
            Some(IpNet::V6(_)) => (uapi::NFPROTO_IPV6, 24, 16, uapi::TYPE_IPV6_ADDR),
            Some(IpNet::V4(_)) | None => (uapi::NFPROTO_IPV4, 16, 4, uapi::TYPE_IPV4_ADDR),
        };
        self.family(family);
        self.payload(uapi::NFT_PAYLOAD_NETWORK_HEADER, offset, bytes);
        let elements = boundaries(nets, bytes);
        self.look_up(Set { key_type, key_bytes: bytes, ranges: true, elements });
    }

    fn port(&mut self, ports: &[u16]) {
        let protocols = [libc::IPPROTO_TCP, libc::IPPROTO_UDP].map(|it| it.to_le_bytes()[0]);
        self.meta(uapi::NFT_META_L4PROTO);
        let elements = protocols.iter().map(|protocol| (vec![*protocol], false)).collect();
        self.look_up(Set {
            key_type: uapi::TYPE_INET_PROTO,
            key_bytes: 1,
            ranges: false,
            elements,
        });
        self.payload(uapi::NFT_PAYLOAD_TRANSPORT_HEADER, 2, 2);
        let elements = ports.iter().map(|port| (port.to_be_bytes().to_vec(), false)).collect();
        self.look_up(Set {
            key_type: uapi::TYPE_INET_SERVICE,
            key_bytes: 2,
            ranges: false,
            elements,
        });
    }

    fn answer(&mut self) {
        let to_register = Attribute::number(uapi::NFTA_CT_DREG, uapi::NFT_REG_1);
        self.push(
            "ct",
            vec![to_register, Attribute::number(uapi::NFTA_CT_KEY, uapi::NFT_CT_STATE)],
        );
        let mask = data(&uapi::ESTABLISHED_OR_RELATED.to_ne_bytes());
        let parts = vec![
            Attribute::number(uapi::NFTA_BITWISE_SREG, uapi::NFT_REG_1),
            Attribute::number(uapi::NFTA_BITWISE_DREG, uapi::NFT_REG_1),
            Attribute::number(uapi::NFTA_BITWISE_LEN, 4),
            Attribute::nest(uapi::NFTA_BITWISE_MASK, mask),
            Attribute::nest(uapi::NFTA_BITWISE_XOR, data(&[0; 4])),
        ];
        self.push("bitwise", parts);
        self.compare(uapi::NFT_CMP_NEQ, &[0; 4]);
    }

    fn meta(&mut self, key: u32) {
        let to_register = Attribute::number(uapi::NFTA_META_DREG, uapi::NFT_REG_1);
        self.push("meta", vec![to_register, Attribute::number(uapi::NFTA_META_KEY, key)]);
    }

    fn payload(&mut self, base: u32, offset: u32, bytes: u32) {
        let parts = vec![
            Attribute::number(uapi::NFTA_PAYLOAD_DREG, uapi::NFT_REG_1),
            Attribute::number(uapi::NFTA_PAYLOAD_BASE, base),
            Attribute::number(uapi::NFTA_PAYLOAD_OFFSET, offset),
            Attribute::number(uapi::NFTA_PAYLOAD_LEN, bytes),
        ];
        self.push("payload", parts);
    }

    fn compare(&mut self, operator: u32, value: &[u8]) {
        let parts = vec![
            Attribute::number(uapi::NFTA_CMP_SREG, uapi::NFT_REG_1),
            Attribute::number(uapi::NFTA_CMP_OP, operator),
            Attribute::nest(uapi::NFTA_CMP_DATA, data(value)),
        ];
        self.push("cmp", parts);
    }

    fn look_up(&mut self, set: Set) {
        let attributes = vec![Attribute::number(uapi::NFTA_LOOKUP_SREG, uapi::NFT_REG_1)];
        self.0.push(Expression { name: "lookup", attributes, set: Some(set) });
    }

    fn count(&mut self, counter: &str) {
        let kind = Attribute::number(uapi::NFTA_OBJREF_IMM_TYPE, uapi::NFT_OBJECT_COUNTER);
        self.push("objref", vec![kind, Attribute::text(uapi::NFTA_OBJREF_IMM_NAME, counter)]);
    }

    fn decide(&mut self, verdict: Verdict) {
        match verdict {
            Verdict::Accept => self.end(uapi::NF_ACCEPT),
            Verdict::Drop => self.end(uapi::NF_DROP),
            Verdict::Reject => {
                let kind =
                    Attribute::number(uapi::NFTA_REJECT_TYPE, uapi::NFT_REJECT_ICMPX_UNREACH);
                let code = [uapi::NFT_REJECT_ICMPX_ADMIN_PROHIBITED];
                let code = Attribute::bytes(uapi::NFTA_REJECT_ICMP_CODE, &code);
                self.push("reject", vec![kind, code]);
            }
        }
    }

    fn end(&mut self, code: u32) {
        let code = vec![Attribute::number(uapi::NFTA_VERDICT_CODE, code)];
        let verdict = vec![Attribute::nest(uapi::NFTA_DATA_VERDICT, code)];
        let parts = vec![
            Attribute::number(uapi::NFTA_IMMEDIATE_DREG, uapi::NFT_REG_VERDICT),
            Attribute::nest(uapi::NFTA_IMMEDIATE_DATA, verdict),
        ];
        self.push("immediate", parts);
    }

    fn push(&mut self, name: &'static str, attributes: Vec<Attribute>) {
        self.0.push(Expression { name, attributes, set: None });
    }
}

fn data(value: &[u8]) -> Vec<Attribute> {
    vec![Attribute::bytes(uapi::NFTA_DATA_VALUE, value)]
}

/// Where the ranges of these networks begin and end, as keys of `bytes` bytes. A range that ends
/// with the last address has no end.
fn boundaries(nets: &[IpNet], bytes: u32) -> Vec<Element> {
    let bits = bytes * 8;
    let key = |number: u128| (number << (128 - bits)).to_be_bytes()[..bytes as usize].to_vec();
    let mut ranges: Vec<_> =
        nets.iter().map(|net| (number(net.network()), number(net.broadcast()))).collect();
    ranges.sort_unstable();
    let mut joined: Vec<(u128, u128)> = Vec::new();
    for (first, last) in ranges {
        match joined.last_mut() {
            Some((_, before)) if first <= before.saturating_add(1) => *before = last.max(*before),
            Some(_) | None => joined.push((first, last)),
        }
    }
    let end = u128::MAX >> (128 - bits);
    let mut elements = Vec::new();
    if joined.first().is_some_and(|(first, _)| *first > 0) {
        elements.push((key(0), true));
    }
    for (first, last) in joined {
        elements.push((key(first), false));
        if last < end {
            elements.push((key(last + 1), true));
        }
    }
    elements
}

fn number(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => address.to_bits().into(),
        IpAddr::V6(address) => address.to_bits(),
    }
}

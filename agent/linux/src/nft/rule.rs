//! Rules, in the kernel's expressions.

use std::net::IpAddr;

use ipnet::IpNet;

use super::{
    message::{put, put_all, put_number, put_text},
    read::Hook,
};

// linux/netfilter/nf_tables.h and linux/netfilter.h.
const NFTA_LIST_ELEM: u16 = 1;
const NFTA_EXPR_NAME: u16 = 1;
const NFTA_EXPR_DATA: u16 = 2;
const NFTA_DATA_VALUE: u16 = 1;
const NFTA_DATA_VERDICT: u16 = 2;
const NFTA_VERDICT_CODE: u16 = 1;
const NFT_REG_VERDICT: u32 = 0;
const NFT_REG_1: u32 = 1;
const NFT_META_IIFNAME: u32 = 6;
const NFT_META_OIFNAME: u32 = 7;
const NFT_META_NFPROTO: u32 = 15;
const NFT_META_L4PROTO: u32 = 16;
const NFT_CMP_EQ: u32 = 0;
const NFT_CMP_NEQ: u32 = 1;
const NFT_CT_STATE: u32 = 0;
const NFT_PAYLOAD_NETWORK_HEADER: u32 = 1;
const NFT_PAYLOAD_TRANSPORT_HEADER: u32 = 2;
const NFT_OBJECT_COUNTER: u32 = 1;
const NFT_REJECT_ICMPX_UNREACH: u32 = 2;
const NFT_REJECT_ICMPX_ADMIN_PROHIBITED: u8 = 3;
const NFPROTO_IPV4: u8 = 2;
const NFPROTO_IPV6: u8 = 10;
const NF_DROP: u32 = 0;
const NF_ACCEPT: u32 = 1;
/// `NF_CT_STATE_BIT(IP_CT_ESTABLISHED) | NF_CT_STATE_BIT(IP_CT_RELATED)`.
const ESTABLISHED_OR_RELATED: u32 = 2 | 4;
const IFNAMSIZ: usize = 16;
// The types of sets' keys, by which the program nft shows them.
const TYPE_IPV4_ADDR: u32 = 7;
const TYPE_IPV6_ADDR: u32 = 8;
const TYPE_INET_PROTO: u32 = 12;
const TYPE_INET_SERVICE: u32 = 13;

/// A chain that packets come through; its policy is drop.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chain {
    /// Its name.
    pub name: String,
    /// Where packets come in.
    pub hook: Hook,
    /// Its turn among the hook's chains.
    pub priority: i32,
    /// Its rules, the first that has a verdict counts.
    pub rules: Vec<Rule>,
}

/// What becomes of packets that pass every match.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    /// All of them must hold.
    pub matches: Vec<Match>,
    /// The named counter that counts these packets.
    pub counter: Option<String>,
    /// What becomes of them.
    pub verdict: Verdict,
}

/// What a packet must be like.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Match {
    /// It came in by the device of this name.
    From(String),
    /// It goes out by the device of this name.
    To(String),
    /// It goes out by any other.
    NotTo(String),
    /// It is IPv4.
    Ipv4,
    /// It is IPv6.
    Ipv6,
    /// It goes to one of these networks, all of one family.
    Destination(Vec<IpNet>),
    /// It is TCP or UDP to one of these ports.
    Port(Vec<u16>),
    /// It belongs to a connection that was made by the other end's consent (`established`), or to
    /// one like that (`related`).
    Answer,
}

/// What becomes of a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It passes this chain.
    Accept,
    /// It goes nowhere.
    Drop,
    /// The sender is told so (ICMP, administratively prohibited).
    Reject,
}

/// A set without a name.
pub(super) struct Set {
    pub(super) key_type: u32,
    pub(super) key_bytes: u32,
    /// Whether its elements are where ranges begin and end.
    pub(super) ranges: bool,
    /// Keys, in order; true where a range has ended.
    pub(super) elements: Vec<(Vec<u8>, bool)>,
}

impl Rule {
    /// The rule's expressions and the sets that they look into, numbered from `first`.
    pub(super) fn compile(&self, first: u32) -> (Vec<Vec<u8>>, Vec<Set>) {
        let mut compiler = Compiler { first, expressions: Vec::new(), sets: Vec::new() };
        for one in &self.matches {
            compiler.test(one);
        }
        if let Some(counter) = &self.counter {
            compiler.count(counter);
        }
        compiler.decide(self.verdict);
        (compiler.expressions, compiler.sets)
    }
}

struct Compiler {
    first: u32,
    expressions: Vec<Vec<u8>>,
    sets: Vec<Set>,
}

impl Compiler {
    fn test(&mut self, one: &Match) {
        match one {
            Match::From(name) => self.device(NFT_META_IIFNAME, NFT_CMP_EQ, name),
            Match::To(name) => self.device(NFT_META_OIFNAME, NFT_CMP_EQ, name),
            Match::NotTo(name) => self.device(NFT_META_OIFNAME, NFT_CMP_NEQ, name),
            Match::Ipv4 => self.family(NFPROTO_IPV4),
            Match::Ipv6 => self.family(NFPROTO_IPV6),
            Match::Destination(nets) => self.destination(nets),
            Match::Port(ports) => self.port(ports),
            Match::Answer => self.answer(),
        }
    }

    fn device(&mut self, key: u32, operator: u32, name: &str) {
        let mut padded = [0; IFNAMSIZ];
        let bytes = name.as_bytes();
        let length = bytes.len().min(IFNAMSIZ - 1);
        padded[..length].copy_from_slice(&bytes[..length]);
        self.meta(key);
        self.compare(operator, &padded);
    }

    fn family(&mut self, family: u8) {
        self.meta(NFT_META_NFPROTO);
        self.compare(NFT_CMP_EQ, &[family]);
    }

    fn destination(&mut self, nets: &[IpNet]) {
        // Where the address stands in the header, and how long it is.
        let (family, offset, bytes, key_type) = match nets.first() {
            Some(IpNet::V6(_)) => (NFPROTO_IPV6, 24, 16, TYPE_IPV6_ADDR),
            Some(IpNet::V4(_)) | None => (NFPROTO_IPV4, 16, 4, TYPE_IPV4_ADDR),
        };
        self.family(family);
        self.payload(NFT_PAYLOAD_NETWORK_HEADER, offset, bytes);
        let elements = boundaries(nets, bytes);
        self.look_up(Set { key_type, key_bytes: bytes, ranges: true, elements });
    }

    fn port(&mut self, ports: &[u16]) {
        let protocols = [libc::IPPROTO_TCP, libc::IPPROTO_UDP].map(|it| it.to_le_bytes()[0]);
        self.meta(NFT_META_L4PROTO);
        let elements = protocols.iter().map(|protocol| (vec![*protocol], false)).collect();
        self.look_up(Set { key_type: TYPE_INET_PROTO, key_bytes: 1, ranges: false, elements });
        self.payload(NFT_PAYLOAD_TRANSPORT_HEADER, 2, 2);
        let elements = ports.iter().map(|port| (port.to_be_bytes().to_vec(), false)).collect();
        self.look_up(Set { key_type: TYPE_INET_SERVICE, key_bytes: 2, ranges: false, elements });
    }

    fn answer(&mut self) {
        let (dreg, key) = (put_number(1, NFT_REG_1), put_number(2, NFT_CT_STATE));
        self.push("ct", &[dreg, key]);
        let value = |value: u32| put(NFTA_DATA_VALUE, &value.to_ne_bytes());
        let parts = [
            put_number(1, NFT_REG_1),
            put_number(2, NFT_REG_1),
            put_number(3, 4),
            put_all(4, &[value(ESTABLISHED_OR_RELATED)]),
            put_all(5, &[value(0)]),
        ];
        self.push("bitwise", &parts);
        self.compare(NFT_CMP_NEQ, &[0; 4]);
    }

    fn meta(&mut self, key: u32) {
        self.push("meta", &[put_number(1, NFT_REG_1), put_number(2, key)]);
    }

    fn payload(&mut self, base: u32, offset: u32, bytes: u32) {
        let place = [put_number(2, base), put_number(3, offset), put_number(4, bytes)];
        self.push("payload", &[&[put_number(1, NFT_REG_1)], &place[..]].concat());
    }

    fn compare(&mut self, operator: u32, value: &[u8]) {
        let value = put_all(3, &[put(NFTA_DATA_VALUE, value)]);
        self.push("cmp", &[put_number(1, NFT_REG_1), put_number(2, operator), value]);
    }

    fn look_up(&mut self, set: Set) {
        let number = self.first + u32::try_from(self.sets.len()).unwrap_or(u32::MAX);
        self.sets.push(set);
        let parts =
            [put_text(1, super::batch::UNNAMED), put_number(2, NFT_REG_1), put_number(4, number)];
        self.push("lookup", &parts);
    }

    fn count(&mut self, counter: &str) {
        self.push("objref", &[put_number(1, NFT_OBJECT_COUNTER), put_text(2, counter)]);
    }

    fn decide(&mut self, verdict: Verdict) {
        let code = match verdict {
            Verdict::Accept => NF_ACCEPT,
            Verdict::Drop => NF_DROP,
            Verdict::Reject => {
                let code = put(2, &[NFT_REJECT_ICMPX_ADMIN_PROHIBITED]);
                return self.push("reject", &[put_number(1, NFT_REJECT_ICMPX_UNREACH), code]);
            }
        };
        let verdict = put_all(NFTA_DATA_VERDICT, &[put_number(NFTA_VERDICT_CODE, code)]);
        self.push("immediate", &[put_number(1, NFT_REG_VERDICT), put_all(2, &[verdict])]);
    }

    /// The numbers of an expression's attributes are its own: see `enum nft_*_attributes`.
    fn push(&mut self, name: &str, attributes: &[Vec<u8>]) {
        let parts = [put_text(NFTA_EXPR_NAME, name), put_all(NFTA_EXPR_DATA, attributes)];
        self.expressions.push(put_all(NFTA_LIST_ELEM, &parts));
    }
}

/// Where the ranges of these networks begin and end, as keys of `bytes` bytes. A range that ends
/// with the last address has no end.
fn boundaries(nets: &[IpNet], bytes: u32) -> Vec<(Vec<u8>, bool)> {
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

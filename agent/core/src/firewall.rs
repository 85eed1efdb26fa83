//! What may leave a container in which state, as an nftables ruleset.
//!
//! `SECURITY.md` is the specification. Every ruleset is a whole: applied in one transaction it
//! replaces the one before, keeps the counters, and never leaves a moment without rules. The table
//! holds in the container's namespace for as long as that lives, whatever becomes of the agent.

use std::fmt::{self, Write as _};
use std::net::IpAddr;

use ipnet::IpNet;

/// The table's name in the container's namespace; its family is `inet`.
pub const TABLE: &str = "egress_agent";
/// Counts what was about to leave outside the tunnel, or while the container was closed.
pub const SEALED_COUNTER: &str = "sealed";
/// Counts what was refused inside the tunnel: foreign resolvers, private networks.
pub const REFUSED_COUNTER: &str = "refused";

/// The chains' turn at their hooks: before those that others usually make.
pub const PRIORITY: i32 = -10;

/// What a container may send.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Policy {
    /// Nothing but to itself.
    Closed,
    /// Through the tunnel.
    Open(Opening),
}

/// What goes through an open tunnel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Opening {
    /// The tunnel's device.
    pub interface: String,
    /// The tunnel has an IPv4 address.
    pub ipv4: bool,
    /// The tunnel has an IPv6 address; without one IPv6 is refused at once, so that programs fall
    /// back to IPv4 without a wait.
    pub ipv6: bool,
    /// The tunnel's resolvers: the only ones reachable on port 53 and 853 (DNS in clear, over TLS, over QUIC).
    pub dns: Vec<IpAddr>,
    /// Destinations refused inside the tunnel.
    pub refuse: Vec<IpNet>,
    /// Exceptions to `refuse`.
    pub allow: Vec<IpNet>,
}

/// Where packets are held; one of the container's passes exactly one of them on its way out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hook {
    /// For the container.
    Input,
    /// Passing through it.
    Forward,
    /// Made in it.
    Output,
}

const LOOPBACK: &str = "lo";
/// DNS in clear, and over TLS or QUIC.
const RESOLVING: [u16; 2] = [53, 853];

/// A whole ruleset. [`fmt::Display`] gives it in the words of nft(8).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ruleset {
    input: Vec<Rule>,
    output: Vec<Rule>,
}

/// What becomes of packets that pass every test.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    /// All of them must hold.
    pub tests: Vec<Test>,
    /// Who counts such packets.
    pub counter: Option<&'static str>,
    /// What becomes of them.
    pub verdict: Verdict,
}

/// What a packet must be like.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Test {
    /// It came in by this device.
    From(String),
    /// It goes out by this device.
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
    /// It belongs to a connection that was made from here, or to one like that.
    Answer,
}

/// What becomes of a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It passes.
    Accept,
    /// It goes nowhere.
    Drop,
    /// It goes nowhere, and its sender is told at once, the same for every protocol.
    Reject,
}

impl Policy {
    /// The ruleset that enforces it.
    pub fn ruleset(&self) -> Ruleset {
        match self {
            Self::Closed => closed(),
            Self::Open(opening) => open(opening),
        }
    }
}

fn closed() -> Ruleset {
    let sealed = rule([], Verdict::Drop).counted(SEALED_COUNTER);
    Ruleset { input: vec![from_itself()], output: vec![to_itself(), sealed] }
}

fn open(opening: &Opening) -> Ruleset {
    let interface = &opening.interface;
    // The VPN server must not reach the container's ports: only what was asked for comes in.
    let answers = rule([Test::From(interface.clone()), Test::Answer], Verdict::Accept);
    let outside = rule([Test::NotTo(interface.clone())], Verdict::Drop).counted(SEALED_COUNTER);
    let mut output = vec![to_itself(), outside];
    output.extend(families(opening));
    output.extend(resolvers(&opening.dns));
    let accepted = destinations(&opening.allow);
    output.extend(accepted.map(|test| rule([test], Verdict::Accept)));
    output.extend(destinations(&opening.refuse).map(|test| refused([test])));
    output.push(rule([], Verdict::Accept));
    Ruleset { input: vec![from_itself(), answers], output }
}

fn from_itself() -> Rule {
    rule([Test::From(LOOPBACK.into())], Verdict::Accept)
}

fn to_itself() -> Rule {
    rule([Test::To(LOOPBACK.into())], Verdict::Accept)
}

/// Fast, so that `connect` fails at once.
fn refused<const N: usize>(tests: [Test; N]) -> Rule {
    rule(tests, Verdict::Reject).counted(REFUSED_COUNTER)
}

fn rule<const N: usize>(tests: [Test; N], verdict: Verdict) -> Rule {
    Rule { tests: tests.into(), counter: None, verdict }
}

fn families(opening: &Opening) -> impl Iterator<Item = Rule> {
    let absent = [(opening.ipv4, Test::Ipv4), (opening.ipv6, Test::Ipv6)].into_iter();
    absent.filter(|(present, _)| !present).map(|(_, family)| refused([family]))
}

fn resolvers(dns: &[IpAddr]) -> Vec<Rule> {
    let ports = || Test::Port(RESOLVING.into());
    let hosts: Vec<IpNet> = dns.iter().copied().map(IpNet::from).collect();
    let known = destinations(&hosts).map(|test| rule([test, ports()], Verdict::Accept));
    known.chain([refused([ports()])]).collect()
}

/// One test for each family among `nets`.
fn destinations(nets: &[IpNet]) -> impl Iterator<Item = Test> {
    // The kernel refuses a set whose intervals overlap.
    let nets = IpNet::aggregate(&nets.to_vec());
    let (v4, v6): (Vec<IpNet>, Vec<IpNet>) = nets.iter().partition(|net| net.addr().is_ipv4());
    [v4, v6].into_iter().filter(|nets| !nets.is_empty()).map(Test::Destination)
}

impl Rule {
    fn counted(self, counter: &'static str) -> Rule {
        Rule { counter: Some(counter), ..self }
    }
}

impl Ruleset {
    /// Every chain with its hook and its rules; each one's policy is drop.
    pub fn chains(&self) -> [(Hook, &[Rule]); 3] {
        [(Hook::Input, &self.input), (Hook::Forward, &[]), (Hook::Output, &self.output)]
    }
}

impl Hook {
    /// The name of its chain.
    pub fn chain(self) -> &'static str {
        match self {
            Self::Input => "input",
            Self::Forward => "forward",
            Self::Output => "output",
        }
    }
}

impl fmt::Display for Ruleset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "add table inet {TABLE}")?;
        for counter in [SEALED_COUNTER, REFUSED_COUNTER] {
            writeln!(f, "add counter inet {TABLE} {counter}")?;
        }
        for (hook, rules) in self.chains() {
            let chain = hook.chain();
            let place = format!("type filter hook {chain} priority {PRIORITY}; policy drop;");
            writeln!(f, "add chain inet {TABLE} {chain} {{ {place} }}")?;
            writeln!(f, "flush chain inet {TABLE} {chain}")?;
            for rule in rules {
                writeln!(f, "add rule inet {TABLE} {chain} {rule}")?;
            }
        }
        f.write_char('\n')
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for test in &self.tests {
            write!(f, "{test} ")?;
        }
        if let Some(counter) = self.counter {
            write!(f, "counter name {counter} ")?;
        }
        f.write_str(match self.verdict {
            Verdict::Accept => "accept",
            Verdict::Drop => "drop",
            Verdict::Reject => "reject with icmpx type admin-prohibited",
        })
    }
}

impl fmt::Display for Test {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::From(device) => write!(f, "iifname \"{device}\""),
            Self::To(device) => write!(f, "oifname \"{device}\""),
            Self::NotTo(device) => write!(f, "oifname != \"{device}\""),
            Self::Ipv4 => f.write_str("meta nfproto ipv4"),
            Self::Ipv6 => f.write_str("meta nfproto ipv6"),
            Self::Destination(nets) => {
                let v6 = nets.first().is_some_and(|net| net.addr().is_ipv6());
                write!(f, "{} daddr {}", if v6 { "ip6" } else { "ip" }, set(nets))
            }
            Self::Port(ports) => write!(f, "meta l4proto {{ tcp, udp }} th dport {}", set(ports)),
            Self::Answer => f.write_str("ct state established,related"),
        }
    }
}

fn set<T: fmt::Display>(elements: &[T]) -> String {
    let elements: Vec<_> = elements.iter().map(ToString::to_string).collect();
    format!("{{ {} }}", elements.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn opening() -> Opening {
        Opening {
            interface: "eg0".into(),
            ipv4: true,
            ipv6: false,
            dns: vec!["10.64.0.1".parse().unwrap()],
            refuse: vec!["10.0.0.0/8".parse().unwrap(), "10.1.0.0/16".parse().unwrap()],
            allow: vec!["10.9.0.0/16".parse().unwrap()],
        }
    }

    fn words(rules: &[Rule]) -> Vec<String> {
        rules.iter().map(ToString::to_string).collect()
    }

    fn position(rules: &[String], part: &str) -> usize {
        rules.iter().position(|rule| rule.contains(part)).unwrap_or_else(|| panic!("no {part}"))
    }

    #[test]
    fn a_closed_container_reaches_itself_only() {
        let rules = Policy::Closed.ruleset();
        let rules = words(&[rules.input, rules.output].concat());
        let accepting: Vec<_> = rules.iter().filter(|rule| rule.contains("accept")).collect();
        assert_eq!(accepting, [r#"iifname "lo" accept"#, r#"oifname "lo" accept"#]);
    }

    #[test]
    fn every_chain_drops_what_no_rule_takes() {
        for policy in [Policy::Closed, Policy::Open(opening())] {
            let text = policy.ruleset().to_string();
            assert_eq!(text.matches("policy drop").count(), 3);
            assert!(!text.contains("policy accept"));
        }
    }

    #[test]
    fn nothing_passes_an_open_container_before_the_device_is_checked() {
        let rules = words(&open(&opening()).output);
        assert_eq!(position(&rules, r#"oifname != "eg0""#), 1);
    }

    #[test]
    fn the_tunnels_resolver_is_reached_and_no_other() {
        let rules = words(&open(&opening()).output);
        let own = position(&rules, "10.64.0.1/32");
        let others = own + 1;
        assert!(rules[own].ends_with("accept"));
        assert!(rules[others].contains("dport { 53, 853 }") && rules[others].contains("reject"));
        assert!(others < position(&rules, "10.0.0.0/8"));
    }

    #[test]
    fn an_exception_comes_before_the_network_it_is_in() {
        let rules = words(&open(&opening()).output);
        assert!(position(&rules, "10.9.0.0/16") < position(&rules, "{ 10.0.0.0/8 }"));
    }

    #[test]
    fn a_family_the_tunnel_lacks_is_refused_fast() {
        let rules = words(&open(&opening()).output);
        assert!(rules[position(&rules, "nfproto ipv6")].contains("reject"));
        assert!(!rules.iter().any(|rule| rule.contains("nfproto ipv4")));
    }

    #[test]
    fn the_container_takes_nothing_it_did_not_ask_for() {
        let rules = words(&open(&opening()).input);
        assert!(rules[1].contains("ct state established,related"));
        assert_eq!(rules.len(), 2);
    }
}

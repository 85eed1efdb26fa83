//! The rulesets of a container that has nothing but loopback and its tunnel's device.

use std::net::IpAddr;

use ipnet::IpNet;

use super::ruleset::{Chain, Hook, LOOPBACK, Rule, Ruleset, Test, Verdict};

/// The table's name in the container's namespace.
pub const TABLE: &str = "egress_agent";
/// Counts what was about to leave outside the tunnel, or while the container was closed.
pub const SEALED_COUNTER: &str = "sealed";
/// Counts what was refused inside the tunnel: foreign resolvers, private networks.
pub const REFUSED_COUNTER: &str = "refused";

/// The chains' turn at their hooks: before those that others usually make.
const PRIORITY: i32 = -10;
/// DNS in clear, and over TLS or QUIC.
const RESOLVING: [u16; 2] = [53, 853];

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
    /// The index of the tunnel's device in the container.
    pub device: u32,
    /// Whether the tunnel has an IPv4 address.
    pub ipv4: bool,
    /// Whether the tunnel has an IPv6 address; without one IPv6 is refused at once, so that
    /// programs fall back to IPv4 without a wait.
    pub ipv6: bool,
    /// The tunnel's resolvers: the only ones reachable on port 53 and 853 (DNS in clear, over TLS,
    /// over QUIC).
    pub dns: Vec<IpAddr>,
    /// Destinations refused inside the tunnel.
    pub refuse: Vec<IpNet>,
    /// Exceptions to `refuse`.
    pub allow: Vec<IpNet>,
}

impl Policy {
    /// The ruleset that enforces it.
    pub fn ruleset(&self) -> Ruleset {
        let (input, output) = match self {
            Self::Closed => closed(),
            Self::Open(opening) => open(opening),
        };
        let rules = [(Hook::Input, input), (Hook::Forward, Vec::new()), (Hook::Output, output)];
        let chain = |(hook, rules)| Chain { hook, priority: PRIORITY, rules };
        Ruleset { counters: vec![SEALED_COUNTER, REFUSED_COUNTER], chains: rules.map(chain).into() }
    }
}

/// The rules for what comes in, and for what goes out.
type InAndOut = (Vec<Rule>, Vec<Rule>);

fn closed() -> InAndOut {
    let sealed = rule([], Verdict::Drop).counted(SEALED_COUNTER);
    (vec![from_itself()], vec![to_itself(), sealed])
}

fn open(opening: &Opening) -> InAndOut {
    let device = opening.device;
    // The VPN server must not reach the container's ports: only what was asked for comes in.
    let answers = rule([Test::From(device), Test::Answer], Verdict::Accept);
    let outside = rule([Test::NotTo(device)], Verdict::Drop).counted(SEALED_COUNTER);
    let mut output = vec![to_itself(), outside];
    output.extend(families(opening));
    output.extend(resolvers(&opening.dns));
    let accepted = destinations(&opening.allow);
    output.extend(accepted.map(|test| rule([test], Verdict::Accept)));
    output.extend(destinations(&opening.refuse).map(|test| refused([test])));
    output.push(rule([], Verdict::Accept));
    (vec![from_itself(), answers], output)
}

fn from_itself() -> Rule {
    rule([Test::From(LOOPBACK)], Verdict::Accept)
}

fn to_itself() -> Rule {
    rule([Test::To(LOOPBACK)], Verdict::Accept)
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

#[cfg(test)]
mod tests {
    use super::*;

    const DEVICE: u32 = 7;

    fn opening() -> Opening {
        Opening {
            device: DEVICE,
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

    /// The rules for what goes out of an open container.
    fn output() -> Vec<String> {
        words(&open(&opening()).1)
    }

    fn position(rules: &[String], part: &str) -> usize {
        rules.iter().position(|rule| rule.contains(part)).unwrap_or_else(|| panic!("no {part}"))
    }

    #[test]
    fn a_closed_container_reaches_itself_only() {
        let (input, output) = closed();
        let rules = words(&[input, output].concat());
        let accepting: Vec<_> = rules.iter().filter(|rule| rule.contains("accept")).collect();
        assert_eq!(accepting, ["iif 1 accept", "oif 1 accept"]);
    }

    #[test]
    fn every_chain_drops_what_no_rule_takes() {
        for policy in [Policy::Closed, Policy::Open(opening())] {
            let text = policy.ruleset().script(TABLE);
            assert_eq!(text.matches("policy drop").count(), 3);
            assert!(!text.contains("policy accept"));
        }
    }

    #[test]
    fn nothing_passes_an_open_container_before_the_device_is_checked() {
        assert_eq!(position(&output(), "oif != 7"), 1);
    }

    #[test]
    fn the_tunnels_resolver_is_reached_and_no_other() {
        let rules = output();
        let own = position(&rules, "10.64.0.1/32");
        let others = own + 1;
        assert!(rules[own].ends_with("accept"));
        assert!(rules[others].contains("dport { 53, 853 }") && rules[others].contains("reject"));
        assert!(others < position(&rules, "10.0.0.0/8"));
    }

    #[test]
    fn an_exception_comes_before_the_network_it_is_in() {
        let rules = output();
        assert!(position(&rules, "10.9.0.0/16") < position(&rules, "{ 10.0.0.0/8 }"));
    }

    #[test]
    fn a_family_the_tunnel_lacks_is_refused_fast() {
        let rules = output();
        assert!(rules[position(&rules, "nfproto ipv6")].contains("reject"));
        assert!(!rules.iter().any(|rule| rule.contains("nfproto ipv4")));
    }

    #[test]
    fn the_container_takes_nothing_it_did_not_ask_for() {
        let rules = words(&open(&opening()).0);
        assert!(rules[1].contains("ct state established,related"));
        assert_eq!(rules.len(), 2);
    }
}

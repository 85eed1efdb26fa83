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

/// The hooks that are held; a packet of the container passes exactly one of them on its way out.
const CHAINS: [&str; 3] = ["input", "forward", "output"];

/// A whole ruleset. [`fmt::Display`] gives the text for `nft -f -`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ruleset {
    input: Vec<String>,
    output: Vec<String>,
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

/// The script that takes the table away: the container is the launcher's again.
pub fn release() -> String {
    // `add` first: to delete a table that is not there is an error.
    format!("add table inet {TABLE}\ndelete table inet {TABLE}\n")
}

fn closed() -> Ruleset {
    Ruleset {
        input: vec![r#"iifname "lo" accept"#.into()],
        output: vec![
            r#"oifname "lo" accept"#.into(),
            format!("counter name {SEALED_COUNTER} drop"),
        ],
    }
}

fn open(opening: &Opening) -> Ruleset {
    let interface = &opening.interface;
    let input = vec![
        r#"iifname "lo" accept"#.into(),
        // The VPN server must not reach the container's ports: only what was asked for comes in.
        format!(r#"iifname "{interface}" ct state established,related accept"#),
    ];
    let mut output = vec![
        r#"oifname "lo" accept"#.into(),
        format!(r#"oifname != "{interface}" counter name {SEALED_COUNTER} drop"#),
    ];
    output.extend(families(opening));
    output.extend(resolvers(&opening.dns));
    output.extend(destinations(&opening.allow, "accept"));
    output.extend(destinations(&opening.refuse, &refusal()));
    output.push("accept".into());
    Ruleset { input, output }
}

/// Fast, and the same for every protocol: `connect` fails at once.
fn refusal() -> String {
    format!("counter name {REFUSED_COUNTER} reject with icmpx type admin-prohibited")
}

fn families(opening: &Opening) -> Vec<String> {
    let absent = [(opening.ipv4, "ipv4"), (opening.ipv6, "ipv6")].into_iter();
    absent
        .filter(|(present, _)| !present)
        .map(|(_, family)| format!("meta nfproto {family} {}", refusal()))
        .collect()
}

fn resolvers(dns: &[IpAddr]) -> Vec<String> {
    let ports = "meta l4proto { tcp, udp } th dport { 53, 853 }";
    let hosts: Vec<IpNet> = dns.iter().copied().map(IpNet::from).collect();
    let mut rules = destinations(&hosts, &format!("{ports} accept"));
    rules.push(format!("{ports} {}", refusal()));
    rules
}

/// One rule for each family among `nets`.
fn destinations(nets: &[IpNet], verdict: &str) -> Vec<String> {
    // nft refuses a set whose intervals overlap.
    let nets = IpNet::aggregate(&nets.to_vec());
    let (v4, v6): (Vec<IpNet>, Vec<IpNet>) = nets.iter().partition(|net| net.addr().is_ipv4());
    [("ip", v4), ("ip6", v6)]
        .into_iter()
        .filter(|(_, nets)| !nets.is_empty())
        .map(|(family, nets)| {
            let set = nets.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
            format!("{family} daddr {{ {set} }} {verdict}")
        })
        .collect()
}

impl Ruleset {
    /// Every chain with its hook and how many rules it has, to compare with what the kernel says;
    /// each one's policy is drop.
    pub fn chains(&self) -> impl Iterator<Item = (&'static str, usize)> + '_ {
        CHAINS.into_iter().map(|chain| (chain, self.rules(chain).len()))
    }

    fn rules(&self, chain: &str) -> &[String] {
        match chain {
            "input" => &self.input,
            "output" => &self.output,
            _ => &[],
        }
    }
}

impl fmt::Display for Ruleset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "add table inet {TABLE}")?;
        for counter in [SEALED_COUNTER, REFUSED_COUNTER] {
            writeln!(f, "add counter inet {TABLE} {counter}")?;
        }
        for chain in CHAINS {
            let hook = format!("type filter hook {chain} priority -10; policy drop;");
            writeln!(f, "add chain inet {TABLE} {chain} {{ {hook} }}")?;
            writeln!(f, "flush chain inet {TABLE} {chain}")?;
            for rule in self.rules(chain) {
                writeln!(f, "add rule inet {TABLE} {chain} {rule}")?;
            }
        }
        f.write_char('\n')
    }
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

    fn position(rules: &[String], part: &str) -> usize {
        rules.iter().position(|rule| rule.contains(part)).unwrap_or_else(|| panic!("no {part}"))
    }

    #[test]
    fn a_closed_container_reaches_itself_only() {
        let rules = Policy::Closed.ruleset();
        let accepting: Vec<_> = rules
            .input
            .iter()
            .chain(&rules.output)
            .filter(|rule| rule.contains("accept"))
            .collect();
        assert_eq!(accepting, [r#"iifname "lo" accept"#, r#"oifname "lo" accept"#]);
    }

    #[test]
    fn every_chain_drops_what_no_rule_takes() {
        for policy in [Policy::Closed, Policy::Open(opening())] {
            let text = policy.ruleset().to_string();
            assert_eq!(text.matches("policy drop").count(), CHAINS.len());
            assert!(!text.contains("policy accept"));
        }
    }

    #[test]
    fn nothing_passes_an_open_container_before_the_device_is_checked() {
        let rules = open(&opening()).output;
        assert_eq!(position(&rules, r#"oifname != "eg0""#), 1);
    }

    #[test]
    fn the_tunnels_resolver_is_reached_and_no_other() {
        let rules = open(&opening()).output;
        let own = position(&rules, "10.64.0.1/32");
        let others = own + 1;
        assert!(rules[own].ends_with("accept"));
        assert!(rules[others].contains("dport { 53, 853 }") && rules[others].contains("reject"));
        assert!(others < position(&rules, "10.0.0.0/8"));
    }

    #[test]
    fn an_exception_comes_before_the_network_it_is_in() {
        let rules = open(&opening()).output;
        assert!(position(&rules, "10.9.0.0/16") < position(&rules, "{ 10.0.0.0/8 }"));
    }

    #[test]
    fn a_family_the_tunnel_lacks_is_refused_fast() {
        let rules = open(&opening()).output;
        assert!(rules[position(&rules, "nfproto ipv6")].contains("reject"));
        assert!(!rules.iter().any(|rule| rule.contains("nfproto ipv4")));
    }

    #[test]
    fn the_container_takes_nothing_it_did_not_ask_for() {
        let rules = open(&opening()).input;
        assert!(rules[1].contains("ct state established,related"));
        assert_eq!(rules.len(), 2);
    }
}

//! The words that rulesets are written in.

use std::fmt;

use ipnet::IpNet;

/// The index of `lo`: the same in every namespace, whatever somebody renames.
pub const LOOPBACK: u32 = 1;

/// A whole table of the family `inet`: what it holds, and that it holds nothing else.
/// [`Ruleset::script`] gives it in the words of nft(8).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ruleset {
    /// Its named counters.
    pub counters: Vec<&'static str>,
    /// Its chains.
    pub chains: Vec<Chain>,
}

/// A chain of the type `filter` that packets come through. It drops what no rule takes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chain {
    /// Where packets come in; its name is the chain's.
    pub hook: Hook,
    /// Its turn among the hook's chains.
    pub priority: i32,
    /// Its rules: the first that has a verdict counts.
    pub rules: Vec<Rule>,
}

/// A place in the kernel's packet path; a packet of the container's passes exactly one of them on
/// its way out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hook {
    /// For the container.
    Input,
    /// Passing through it.
    Forward,
    /// Made in it.
    Output,
}

/// What becomes of packets that pass every test.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    /// All of them must hold.
    pub tests: Vec<Test>,
    /// Which counter counts such packets.
    pub counter: Option<&'static str>,
    /// What becomes of them.
    pub verdict: Verdict,
}

/// What a packet must be like. Links are told by their index, which nobody can give to another one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Test {
    /// It came in by this link.
    From(u32),
    /// It goes out by this link.
    To(u32),
    /// It goes out by any other.
    NotTo(u32),
    /// It is IPv4.
    Ipv4,
    /// It is IPv6.
    Ipv6,
    /// It goes to one of these networks, all of one family.
    Destination(Vec<IpNet>),
    /// It is TCP or UDP to one of these ports.
    Port(Vec<u16>),
    /// It belongs to a connection that was made from here (`established`), or to one like that
    /// (`related`).
    Answer,
}

/// What becomes of a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It passes this chain.
    Accept,
    /// It goes nowhere.
    Drop,
    /// It goes nowhere, and its sender is told at once, the same for every protocol.
    Reject,
}

impl Hook {
    /// Its name, and that of its chain.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Input => "input",
            Self::Forward => "forward",
            Self::Output => "output",
        }
    }
}

impl Ruleset {
    /// The commands of nft(8) that make the table of this name so, where it has no other chains.
    pub fn script(&self, table: &str) -> String {
        let mut lines = vec![format!("add table inet {table}")];
        lines.extend(self.counters.iter().map(|it| format!("add counter inet {table} {it}")));
        for Chain { hook, priority, rules } in &self.chains {
            let name = hook.as_str();
            let base = format!("type filter hook {name} priority {priority}; policy drop;");
            lines.push(format!("add chain inet {table} {name} {{ {base} }}"));
            lines.push(format!("flush chain inet {table} {name}"));
            lines.extend(rules.iter().map(|rule| format!("add rule inet {table} {name} {rule}")));
        }
        lines.join("\n") + "\n"
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
            Self::From(link) => write!(f, "iif {link}"),
            Self::To(link) => write!(f, "oif {link}"),
            Self::NotTo(link) => write!(f, "oif != {link}"),
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

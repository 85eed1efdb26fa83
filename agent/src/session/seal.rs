//! Putting a policy in place in a container's namespace, and reading it back.

use std::sync::Arc;

use egress_core::api::{Code, Reason};
use egress_core::firewall::{
    Hook, PRIORITY, Policy, REFUSED_COUNTER, Rule, Ruleset, SEALED_COUNTER, TABLE, Test, Verdict,
};
use egress_linux::netns::{EnterError, Netns};
use egress_linux::nft::{self, NftError};
use tokio::task::spawn_blocking;

use crate::telemetry::chain;

/// Why a policy does not stand.
#[derive(Debug, thiserror::Error)]
pub enum SealError {
    /// The namespace could not be entered.
    #[error(transparent)]
    Enter(#[from] EnterError),
    /// The ruleset was not applied or read.
    #[error(transparent)]
    Nft(#[from] NftError),
    /// What the kernel holds is not what it was given.
    #[error("the ruleset in the kernel is not the one that was applied: {found}")]
    Different {
        /// What it holds.
        found: String,
    },
    /// A thread of ours died.
    #[error("applying the ruleset broke off")]
    Broken,
}

impl SealError {
    /// As the API tells it.
    pub fn reason(&self) -> Reason {
        Reason { code: Code::SealFailed, detail: chain(self) }
    }
}

/// Makes the policy so, in one transaction, and checks that the kernel says so too.
pub async fn apply(netns: Arc<Netns>, policy: &Policy) -> Result<(), SealError> {
    let ruleset = policy.ruleset();
    blocking(move || {
        netns.run(|| {
            nft::replace(&translated(&ruleset))?;
            check(&ruleset)
        })?
    })
    .await
}

/// Takes the ruleset away: the container is the launcher's again. None is fine.
pub async fn release(netns: Arc<Netns>) -> Result<(), SealError> {
    blocking(move || Ok(netns.run(|| nft::remove(TABLE))??)).await
}

/// Whether the kernel holds this policy's ruleset.
pub async fn stands(netns: Arc<Netns>, policy: &Policy) -> bool {
    let ruleset = policy.ruleset();
    blocking(move || netns.run(|| check(&ruleset))?).await.is_ok()
}

fn check(wanted: &Ruleset) -> Result<(), SealError> {
    let table = nft::table(TABLE)?;
    let chains = table.as_ref().map(|table| table.chains.as_slice()).unwrap_or_default();
    let held = |name: &str, rules: usize| {
        chains.iter().any(|chain| {
            chain.name == name
                && chain.rules == rules
                && chain.hook.is_some()
                && chain.policy == Some(nft::Policy::Drop)
        })
    };
    if wanted.chains().iter().all(|(hook, rules)| held(hook.chain(), rules.len())) {
        return Ok(());
    }
    Err(SealError::Different { found: format!("{table:?}") })
}

/// In the kernel's terms.
fn translated(ruleset: &Ruleset) -> nft::Ruleset {
    let chains = ruleset.chains().map(|(hook, rules)| nft::Chain {
        name: hook.chain().to_owned(),
        hook: match hook {
            Hook::Input => nft::Hook::Input,
            Hook::Forward => nft::Hook::Forward,
            Hook::Output => nft::Hook::Output,
        },
        priority: PRIORITY,
        rules: rules.iter().map(rule).collect(),
    });
    nft::Ruleset {
        table: TABLE.to_owned(),
        counters: [SEALED_COUNTER, REFUSED_COUNTER].map(str::to_owned).into(),
        chains: chains.into(),
    }
}

fn rule(rule: &Rule) -> nft::Rule {
    nft::Rule {
        matches: rule.tests.iter().map(test).collect(),
        counter: rule.counter.map(str::to_owned),
        verdict: match rule.verdict {
            Verdict::Accept => nft::Verdict::Accept,
            Verdict::Drop => nft::Verdict::Drop,
            Verdict::Reject => nft::Verdict::Reject,
        },
    }
}

fn test(test: &Test) -> nft::Match {
    match test {
        Test::From(device) => nft::Match::From(device.clone()),
        Test::To(device) => nft::Match::To(device.clone()),
        Test::NotTo(device) => nft::Match::NotTo(device.clone()),
        Test::Ipv4 => nft::Match::Ipv4,
        Test::Ipv6 => nft::Match::Ipv6,
        Test::Destination(nets) => nft::Match::Destination(nets.clone()),
        Test::Port(ports) => nft::Match::Port(ports.clone()),
        Test::Answer => nft::Match::Answer,
    }
}

async fn blocking(
    work: impl FnOnce() -> Result<(), SealError> + Send + 'static,
) -> Result<(), SealError> {
    spawn_blocking(work).await.unwrap_or(Err(SealError::Broken))
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;
    use std::process::{Command, Stdio};

    use egress_core::firewall::Opening;

    use super::*;

    fn nets(nets: &[&str]) -> Vec<ipnet::IpNet> {
        nets.iter().map(|net| net.parse().unwrap()).collect()
    }

    fn opening() -> Opening {
        Opening {
            interface: "eg0".to_owned(),
            ipv4: true,
            ipv6: true,
            dns: vec!["10.64.0.1".parse().unwrap(), "fd00::53".parse().unwrap()],
            refuse: nets(&["10.0.0.0/8", "192.168.0.0/16", "224.0.0.0/3", "fc00::/7", "ff00::/8"]),
            allow: nets(&[
                "10.9.0.0/16",
                "11.0.0.0/8",
                "12.0.0.0/7",
                "192.168.7.9/32",
                "fd09::/64",
            ]),
        }
    }

    fn policies() -> Vec<Policy> {
        let v4_only = Opening { ipv6: false, dns: Vec::<IpAddr>::new(), ..opening() };
        let all = nets(&["0.0.0.0/0", "::/0"]);
        let nowhere = Opening { ipv4: false, refuse: all, allow: Vec::new(), ..opening() };
        let opened = [opening(), v4_only, nowhere].into_iter().map(Policy::Open);
        opened.chain([Policy::Closed]).collect()
    }

    fn listed(netns: &Netns) -> String {
        let list = || Command::new("nft").args(["list", "ruleset"]).output().unwrap();
        let listed = String::from_utf8(netns.run(list).unwrap().stdout).unwrap();
        listed.lines().map(without_sets_of_one).collect()
    }

    /// nft compares with the only element of a set in the place of looking it up.
    fn without_sets_of_one(line: &str) -> String {
        let mut plain = String::new();
        for (index, part) in line.split("{ ").enumerate() {
            match part.split_once(" }") {
                Some((one, rest)) if index > 0 && !one.contains(',') => {
                    plain += &(one.to_owned() + rest);
                }
                Some(_) | None if index > 0 => plain += &("{ ".to_owned() + part),
                Some(_) | None => plain += part,
            }
        }
        plain + "\n"
    }

    fn by_program(netns: &Netns, script: &str) {
        let input = memfd(script);
        let status = netns.run(|| {
            Command::new("nft").args(["-f", "-"]).stdin(Stdio::from(input)).status().unwrap()
        });
        assert!(status.unwrap().success(), "{script}");
    }

    fn memfd(script: &str) -> std::fs::File {
        use std::io::{Seek, Write};
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(script.as_bytes()).unwrap();
        file.rewind().unwrap();
        file
    }

    #[test]
    fn the_kernel_holds_what_nft_makes_of_the_same_words() {
        let (ours, theirs) = (Netns::create().unwrap(), Netns::create().unwrap());
        // Each over the one before, as in a session's life.
        for policy in policies().into_iter().chain(policies().into_iter().rev()) {
            let ruleset = policy.ruleset();
            ours.run(|| nft::replace(&translated(&ruleset))).unwrap().unwrap();
            ours.run(|| check(&ruleset)).unwrap().unwrap();
            by_program(&theirs, &ruleset.to_string());
            let (ours, theirs) = (listed(&ours), listed(&theirs));
            assert!(ours.contains("policy drop"));
            assert_eq!(ours, theirs, "{ruleset}");
        }
        ours.run(|| nft::remove(TABLE)).unwrap().unwrap();
        ours.run(|| nft::remove(TABLE)).unwrap().unwrap();
        assert_eq!(listed(&ours), "");
    }
}

//! Whatever somebody changes, it is noticed.

use std::io::Write as _;
use std::process::{Command, Stdio};

use egress_core::firewall::{Opening, Policy};

use super::*;
use crate::{netns::Netns, nft::batch::Batch};

const TABLE: &str = "t";

fn policies() -> [Policy; 2] {
    let nets = |nets: &[&str]| nets.iter().map(|net| net.parse().unwrap()).collect();
    let opening = Opening {
        device: 7,
        ipv4: true,
        ipv6: false,
        dns: vec!["10.64.0.1".parse().unwrap(), "fd00::53".parse().unwrap()],
        refuse: nets(&["10.0.0.0/8", "192.168.0.0/16", "224.0.0.0/3", "fc00::/7"]),
        allow: nets(&["10.9.0.0/16"]),
    };
    [Policy::Closed, Policy::Open(opening)]
}

/// Commands of nft(8) that leave the table as it is wanted, or so that nobody could tell.
const HARMLESS: [&str; 3] = [
    "list ruleset",
    "add table inet other\nadd chain inet other output { type filter hook output priority 0; }",
    "add table ip t { flags dormant; }",
];

/// Commands that each make another table of it.
const CHANGES: [&str; 22] = [
    "add table inet t { flags dormant; }",
    "delete table inet t",
    "flush table inet t",
    "add rule inet t forward accept",
    "add rule inet t forward drop",
    "add rule inet t output accept",
    "insert rule inet t output accept",
    "insert rule inet t input iif 7 accept",
    "flush chain inet t output\nadd rule inet t output oif 1 accept\nadd rule inet t output accept",
    "flush chain inet t input",
    "flush chain inet t input\nadd rule inet t input iif 2 accept",
    "flush chain inet t input\nadd rule inet t input iif 1 drop",
    "flush chain inet t input\nadd rule inet t input iif 1 counter accept",
    "flush chain inet t input\nadd rule inet t input iif 1 counter name sealed accept",
    "flush chain inet t input\nadd rule inet t input iifname \"lo\" accept",
    "chain inet t output { policy accept; }",
    "chain inet t input { policy accept; }",
    "add chain inet t more",
    "add chain inet t more { type filter hook output priority 300; }",
    "add set inet t more { type ifname; }",
    "add counter inet t more",
    "add quota inet t sealed { over 1 mbytes; }",
];

/// Changes to an open table alone: the same rules with sets that are others.
const CHANGES_OF_SETS: [&str; 6] = [
    "ip daddr { 10.0.0.0/8, 192.168.0.0/16 }",
    "ip daddr { 10.0.0.0/8, 192.168.0.0/16, 224.0.0.0-224.0.0.1 }",
    "ip daddr { 10.0.0.0/8, 192.168.0.0/16, 225.0.0.0-255.255.255.255 }",
    "ip daddr { 10.0.0.0, 192.168.0.0, 224.0.0.0 }",
    "ip daddr != { 10.0.0.0/8, 192.168.0.0/16, 224.0.0.0/3 }",
    "ip saddr { 10.0.0.0/8, 192.168.0.0/16, 224.0.0.0/3 }",
];

fn nft(script: &str) -> String {
    let mut nft = Command::new("nft");
    let nft = nft.args(["-a", "-f", "-"]).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut nft = nft.spawn().unwrap();
    nft.stdin.take().unwrap().write_all(format!("{script}\n").as_bytes()).unwrap();
    let output = nft.wait_with_output().unwrap();
    assert!(output.status.success(), "{script}");
    String::from_utf8(output.stdout).unwrap()
}

fn in_a_namespace(test: impl FnOnce() + Send) {
    Netns::create().unwrap().run(test).unwrap();
}

fn apply(ruleset: &Ruleset) {
    let mut batch = Batch::default();
    batch.rebuild(TABLE, ruleset, &[("sealed", 1, 2), ("refused", 3, 4)]);
    batch.commit(&Connection::open().unwrap()).unwrap();
}

fn compared(ruleset: &Ruleset) -> Result<(), Difference> {
    compare(&Connection::open().unwrap(), TABLE, ruleset)
}

#[track_caller]
fn assert_noticed(ruleset: &Ruleset, change: &str) {
    match compared(ruleset) {
        Err(Difference::Found(found)) => assert!(!found.is_empty()),
        other => panic!("{change}: {other:?}"),
    }
}

#[test]
fn what_was_applied_is_what_is_found() {
    in_a_namespace(|| {
        for policy in policies() {
            let ruleset = policy.ruleset();
            apply(&ruleset);
            compared(&ruleset).unwrap();
            for harmless in HARMLESS {
                nft(harmless);
                compared(&ruleset).unwrap();
            }
            nft("delete table inet other");
        }
    });
}

#[test]
fn whatever_is_changed_is_noticed() {
    in_a_namespace(|| {
        for policy in policies() {
            let ruleset = policy.ruleset();
            for change in CHANGES {
                apply(&ruleset);
                nft(change);
                assert_noticed(&ruleset, change);
            }
        }
    });
}

#[test]
fn the_ruleset_of_another_policy_is_noticed() {
    in_a_namespace(|| {
        let [closed, open] = policies().map(|policy| policy.ruleset());
        apply(&closed);
        assert_noticed(&open, "closed");
        apply(&open);
        assert_noticed(&closed, "open");
    });
}

#[test]
fn each_rule_of_an_open_container_is_looked_at() {
    in_a_namespace(|| {
        let [_, open] = policies().map(|policy| policy.ruleset());
        apply(&open);
        let handles: Vec<_> = nft("list chain inet t output").lines().filter_map(handle).collect();
        assert!(handles.len() > 5, "{handles:?}");
        for number in 1..handles.len() {
            apply(&open);
            let listed = nft("list chain inet t output");
            let handle = listed.lines().filter_map(handle).nth(number).unwrap();
            let change = format!("replace rule inet t output handle {handle} counter accept");
            nft(&change);
            assert_noticed(&open, &change);
        }
    });
}

#[test]
fn a_set_that_is_another_is_noticed() {
    in_a_namespace(|| {
        let [_, open] = policies().map(|policy| policy.ruleset());
        let same = "ip daddr { 10.0.0.0/8, 192.168.0.0/16, 224.0.0.0/3 }";
        let others = CHANGES_OF_SETS.map(|test| (test, true));
        for (test, noticed) in [(same, false)].into_iter().chain(others) {
            apply(&open);
            let listed = nft("list chain inet t output");
            let rule = listed.lines().find(|line| line.contains("192.168.0.0/16")).unwrap();
            let (handle, rest) = (handle(rule).unwrap(), "counter name refused reject with icmpx");
            let rule = format!("{test} {rest} type admin-prohibited");
            nft(&format!(
                "add rule inet t output position {handle} {rule}
                 delete rule inet t output handle {handle}"
            ));
            assert_eq!(compared(&open).is_err(), noticed, "{rule}");
        }
    });
}

/// The number of a rule that nft lists, as long as it is no other line.
fn handle(line: &str) -> Option<u64> {
    let (thing, handle) = line.rsplit_once(" # handle ")?;
    if thing.ends_with('{') { None } else { handle.parse().ok() }
}

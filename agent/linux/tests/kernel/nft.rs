//! Rulesets.

use std::net::{IpAddr, Ipv4Addr, UdpSocket};

use egress_linux::{
    link::{Interface, configure},
    netns::Netns,
    nft::{
        Chain, Counter, Hook, Match, NftError, Policy, Rule, Ruleset, Standing, Verdict, counter,
        remove, replace, table,
    },
    tun::{self, Device, Offload},
};
use ipnet::IpNet;

use crate::{
    death::deaths,
    host::{netns, on_a_host},
};

fn rule(matches: Vec<Match>, counter: Option<&str>, verdict: Verdict) -> Rule {
    Rule { matches, counter: counter.map(str::to_owned), verdict }
}

fn ruleset(table: &str, counter: &str, rules: Vec<Rule>) -> Ruleset {
    let chain = Chain { name: "out".to_owned(), hook: Hook::Output, priority: -10, rules };
    Ruleset { table: table.to_owned(), counters: vec![counter.to_owned()], chains: vec![chain] }
}

fn seal() -> Ruleset {
    let to_itself = rule(vec![Match::To("lo".to_owned())], None, Verdict::Accept);
    let others = rule(vec![], Some("dropped"), Verdict::Drop);
    ruleset("egress", "dropped", vec![to_itself, others])
}

/// The first of many addresses.
const FIRST: u32 = u32::from_be_bytes([198, 18, 0, 0]);

fn way_out() -> Device {
    let device = tun::create("up0", 1500, Offload::Off).unwrap();
    configure(&Interface {
        name: "up0".to_owned(),
        addresses: vec!["192.0.2.9/32".parse().unwrap()],
        mtu: 1500,
        routes: vec!["0.0.0.0/0".parse().unwrap()],
    })
    .unwrap();
    device
}

fn out(rules: usize) -> Standing {
    let (hook, policy) = (Some(Hook::Output), Some(Policy::Drop));
    Standing { name: "out".to_owned(), hook, policy, rules }
}

#[test]
fn a_ruleset_stands_in_the_namespace_that_it_was_applied_in_and_in_no_other() {
    on_a_host(|| {
        let container = netns();
        container.run(|| replace(&seal())).unwrap().unwrap();
        let read = container.run(|| table("egress")).unwrap().unwrap().unwrap();
        assert_eq!(read.chains, [out(2)]);
        assert_eq!(table("egress").unwrap(), None);
    });
}

#[test]
fn chains_and_rules_of_other_tables_are_not_counted() {
    on_a_host(|| {
        replace(&seal()).unwrap();
        let nothing = rule(vec![], None, Verdict::Accept);
        replace(&ruleset("other", "more", vec![nothing])).unwrap();
        assert_eq!(table("egress").unwrap().unwrap().chains, [out(2)]);
        assert_eq!(table("other").unwrap().unwrap().chains, [out(1)]);
    });
}

#[test]
fn another_ruleset_takes_the_place_of_the_one_that_stands() {
    on_a_host(|| {
        replace(&seal()).unwrap();
        let all = rule(vec![], None, Verdict::Accept);
        replace(&ruleset("egress", "dropped", vec![all])).unwrap();
        assert_eq!(table("egress").unwrap().unwrap().chains, [out(1)]);
        remove("egress").unwrap();
        assert_eq!(table("egress").unwrap(), None);
        remove("egress").unwrap();
    });
}

#[test]
fn a_named_counter_counts_what_the_seal_drops() {
    on_a_host(|| {
        let _way_out = way_out();
        replace(&seal()).unwrap();
        assert_eq!(counter("egress", "dropped").unwrap(), Some(Counter::default()));
        let socket = UdpSocket::bind("0.0.0.0:0").unwrap();
        for _ in 0..3 {
            socket.send_to(b"canary", "192.0.2.1:7").unwrap_err();
        }
        let counted = Counter { packets: 3, bytes: 3 * (20 + 8 + 6) };
        assert_eq!(counter("egress", "dropped").unwrap(), Some(counted));
    });
}

#[test]
fn what_is_missing_is_no_error() {
    on_a_host(|| {
        assert_eq!(table("egress").unwrap(), None);
        assert_eq!(counter("egress", "dropped").unwrap(), None);
        replace(&seal()).unwrap();
        assert_eq!(counter("egress", "other").unwrap(), None);
        let empty = Ruleset { table: "empty".to_owned(), counters: vec![], chains: vec![] };
        replace(&empty).unwrap();
        assert_eq!(table("empty").unwrap().unwrap().chains, []);
    });
}

#[test]
fn a_refused_ruleset_changes_nothing_and_says_why() {
    on_a_host(|| {
        replace(&seal()).unwrap();
        let before = table("egress").unwrap();
        let accepted = rule(vec![], None, Verdict::Accept);
        let unknown = rule(vec![], Some("nobody"), Verdict::Drop);
        let rules = vec![accepted.clone(), unknown, accepted];
        let Err(NftError::Apply { source, .. }) = replace(&ruleset("egress", "dropped", rules))
        else {
            panic!("not refused")
        };
        assert_eq!(source.kind(), std::io::ErrorKind::NotFound, "{source}");
        assert_eq!(table("egress").unwrap(), before);
    });
}

#[test]
fn many_networks_are_told_in_several_messages_and_all_of_them_hold() {
    on_a_host(|| {
        let _way_out = way_out();
        // Every second address, so that none of them can be told together.
        let nets =
            (0..2_000u32).map(|n| IpNet::from(IpAddr::from(Ipv4Addr::from_bits(FIRST + 2 * n))));
        let to_them = rule(vec![Match::Destination(nets.collect())], None, Verdict::Accept);
        let others = rule(vec![], Some("dropped"), Verdict::Drop);
        replace(&ruleset("egress", "dropped", vec![to_them, others])).unwrap();
        let socket = UdpSocket::bind("0.0.0.0:0").unwrap();
        let mut passes = |n| socket.send_to(b"x", (Ipv4Addr::from_bits(FIRST + n), 7)).is_ok();
        let reached: Vec<_> = [0, 1, 998, 999, 2_000, 2_001, 3_998, 3_999].map(&mut passes).into();
        assert_eq!(reached, [true, false, true, false, true, false, true, false]);
    });
}

#[test]
fn reading_does_not_keep_a_namespace_alive() {
    on_a_host(|| {
        let watch = egress_linux::death::Watch::open().unwrap();
        let container: Netns = netns();
        container.run(|| replace(&seal())).unwrap().unwrap();
        container.run(|| counter("egress", "dropped")).unwrap().unwrap();
        watch.watch(&container).unwrap();
        let cookie = container.cookie();
        drop(container);
        assert_eq!(deaths(&watch, 1), [cookie]);
    });
}

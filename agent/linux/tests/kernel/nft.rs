//! Rulesets.

use std::net::UdpSocket;

use egress_linux::{
    link::{Interface, configure},
    netns::Netns,
    nft::{Chain, Counter, Hook, NftError, Policy, apply, counter, table},
    tun::{self, Offload},
};

use crate::{
    death::deaths,
    host::{netns, on_a_host},
};

const SEAL: &str = "
table inet egress {
  counter dropped { }
  chain other { counter; counter; }
  chain out {
    type filter hook output priority -10; policy drop;
    oifname \"lo\" accept
    counter name dropped
  }
}
";

fn chain(name: &str, hook: Option<Hook>, policy: Option<Policy>, rules: usize) -> Chain {
    Chain { name: name.to_owned(), hook, policy, rules }
}

#[test]
fn a_ruleset_stands_in_the_namespace_that_it_was_applied_in_and_in_no_other() {
    on_a_host(|| {
        let container = netns();
        container.run(|| apply(SEAL)).unwrap().unwrap();
        let read = container.run(|| table("egress")).unwrap().unwrap().unwrap();
        let output = chain("out", Some(Hook::Output), Some(Policy::Drop), 2);
        assert_eq!(read.chains, [chain("other", None, None, 2), output]);
        assert_eq!(table("egress").unwrap(), None);
    });
}

#[test]
fn chains_and_rules_of_other_tables_are_not_counted() {
    on_a_host(|| {
        apply(&format!(
            "{SEAL} table inet a {{ chain out {{ accept; }}\n chain b {{ drop; }}\n }}"
        ))
        .unwrap();
        let names = |name| -> Vec<_> {
            let chains = table(name).unwrap().unwrap().chains;
            chains.into_iter().map(|chain| (chain.name, chain.rules)).collect()
        };
        assert_eq!(names("egress"), [("other".to_owned(), 2), ("out".to_owned(), 2)]);
        assert_eq!(names("a"), [("out".to_owned(), 1), ("b".to_owned(), 1)]);
    });
}

#[test]
fn a_named_counter_counts_what_the_seal_drops() {
    on_a_host(|| {
        let _way_out = tun::create("up0", 1500, Offload::Off).unwrap();
        configure(&Interface {
            name: "up0".to_owned(),
            addresses: vec!["192.0.2.9/32".parse().unwrap()],
            mtu: 1500,
            routes: vec!["0.0.0.0/0".parse().unwrap()],
        })
        .unwrap();
        apply(SEAL).unwrap();
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
        apply(SEAL).unwrap();
        assert_eq!(counter("egress", "other").unwrap(), None);
        apply("table inet empty { }").unwrap();
        assert_eq!(table("empty").unwrap().unwrap().chains, []);
    });
}

#[test]
fn a_refused_ruleset_changes_nothing_and_says_why() {
    on_a_host(|| {
        apply(SEAL).unwrap();
        let before = table("egress").unwrap();
        let script = "flush table inet egress\nadd rule inet egress nowhere accept";
        let Err(NftError::Refused { said, .. }) = apply(script) else { panic!("not refused") };
        assert!(said.contains("No such file or directory"), "{said}");
        assert_eq!(table("egress").unwrap(), before);
    });
}

#[test]
fn a_ruleset_larger_than_a_pipe_is_applied_whole() {
    on_a_host(|| {
        let rules = "counter\n".repeat(20_000);
        apply(&format!("table inet large {{ chain c {{ {rules} }}\n }}")).unwrap();
        assert_eq!(table("large").unwrap().unwrap().chains[0].rules, 20_000);
    });
}

#[test]
fn reading_does_not_keep_a_namespace_alive() {
    on_a_host(|| {
        let watch = egress_linux::death::Watch::open().unwrap();
        let container: Netns = netns();
        container.run(|| apply(SEAL)).unwrap().unwrap();
        container.run(|| counter("egress", "dropped")).unwrap().unwrap();
        watch.watch(&container).unwrap();
        let cookie = container.cookie();
        drop(container);
        assert_eq!(deaths(&watch, 1), [cookie]);
    });
}

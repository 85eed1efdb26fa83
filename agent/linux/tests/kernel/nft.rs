//! Rulesets.

use std::{
    io::Write as _,
    net::{IpAddr, Ipv4Addr, UdpSocket},
    process::{Child, Command, Stdio},
    thread,
    time::Duration,
};

use egress_core::firewall::{Chain, Hook, Opening, Policy, Rule, Ruleset, Test, Verdict};
use egress_linux::{
    link::{Interface, configure},
    netns::Netns,
    nft::{NftError, counters, enforce, remove},
    tun::{self, Device, Offload},
};
use ipnet::IpNet;

use crate::{
    death::deaths,
    host::{netns, on_a_host},
};

fn rule(tests: Vec<Test>, counter: Option<&'static str>, verdict: Verdict) -> Rule {
    Rule { tests, counter, verdict }
}

fn ruleset(counter: &'static str, rules: Vec<Rule>) -> Ruleset {
    let chain = Chain { hook: Hook::Output, priority: -10, rules };
    Ruleset { counters: vec![counter], chains: vec![chain] }
}

fn seal() -> Ruleset {
    let to_itself = rule(vec![Test::To(1)], None, Verdict::Accept);
    let others = rule(vec![], Some("dropped"), Verdict::Drop);
    ruleset("dropped", vec![to_itself, others])
}

fn open() -> Ruleset {
    ruleset("dropped", vec![rule(vec![], None, Verdict::Accept)])
}

/// The first of many addresses.
const FIRST: u32 = u32::from_be_bytes([198, 18, 0, 0]);

fn way_out() -> Device {
    let device = tun::create("up0", 1500, Offload::Off).unwrap();
    configure(
        device.index,
        &Interface {
            addresses: vec!["192.0.2.9/32".parse().unwrap()],
            mtu: 1500,
            routes: vec!["0.0.0.0/0".parse().unwrap()],
        },
    )
    .unwrap();
    device
}

/// What the program nft lists, and whether it took the script.
fn try_nft(script: &str) -> (bool, String) {
    let mut nft = Command::new("nft");
    let nft = nft.args(["-f", "-"]).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut nft = nft.stderr(Stdio::piped()).spawn().unwrap();
    nft.stdin.take().unwrap().write_all(format!("{script}\n").as_bytes()).unwrap();
    let output = nft.wait_with_output().unwrap();
    (output.status.success(), String::from_utf8(output.stdout).unwrap())
}

#[track_caller]
fn nft(script: &str) -> String {
    let (done, listed) = try_nft(script);
    assert!(done, "nft refused:\n{script}");
    listed
}

/// The table as nft lists it, or nothing.
fn listed(table: &str) -> String {
    let listed = try_nft(&format!("list table inet {table}")).1;
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

fn nets(nets: &[&str]) -> Vec<IpNet> {
    nets.iter().map(|net| net.parse().unwrap()).collect()
}

fn opening() -> Opening {
    Opening {
        device: 7,
        ipv4: true,
        ipv6: true,
        dns: vec!["10.64.0.1".parse().unwrap(), "fd00::53".parse().unwrap()],
        refuse: nets(&["10.0.0.0/8", "192.168.0.0/16", "224.0.0.0/3", "fc00::/7", "ff00::/8"]),
        allow: nets(&["10.9.0.0/16", "11.0.0.0/8", "12.0.0.0/7", "192.168.7.9/32", "fd09::/64"]),
    }
}

fn policies() -> Vec<Policy> {
    let v4_only = Opening { ipv6: false, dns: Vec::<IpAddr>::new(), ..opening() };
    let all = nets(&["0.0.0.0/0", "::/0"]);
    let nowhere = Opening { ipv4: false, refuse: all, allow: Vec::new(), ..opening() };
    let opened = [opening(), v4_only, nowhere].into_iter().map(Policy::Open);
    opened.chain([Policy::Closed]).collect()
}

#[test]
fn the_kernel_holds_what_nft_makes_of_the_same_words() {
    let (ours, theirs) = (netns(), netns());
    // Each over the one before, as in a session's life.
    for policy in policies().into_iter().chain(policies().into_iter().rev()) {
        let ruleset = policy.ruleset();
        ours.run(|| enforce("t", &ruleset)).unwrap().unwrap();
        let script = ruleset.script("t");
        theirs.run(|| nft(&script)).unwrap();
        let (ours, theirs) =
            [&ours, &theirs].map(|netns| netns.run(|| listed("t")).unwrap()).into();
        assert!(ours.contains("policy drop"));
        assert_eq!(ours, theirs, "{script}");
    }
}

#[test]
fn a_ruleset_stands_in_the_namespace_that_it_was_applied_in_and_in_no_other() {
    on_a_host(|| {
        let container = netns();
        container.run(|| enforce("egress", &seal())).unwrap().unwrap();
        assert!(container.run(|| listed("egress")).unwrap().contains("policy drop"));
        assert_eq!(nft("list ruleset"), "");
    });
}

#[test]
fn other_tables_are_left_alone() {
    on_a_host(|| {
        enforce("egress_too", &open()).unwrap();
        let other = listed("egress_too");
        enforce("egress", &seal()).unwrap();
        remove("egress").unwrap();
        assert_eq!(listed("egress_too"), other);
        assert_eq!(listed("egress"), "");
        // None is fine.
        remove("egress").unwrap();
    });
}

#[test]
fn a_named_counter_counts_what_the_seal_drops_and_goes_on_through_every_change() {
    on_a_host(|| {
        let _way_out = way_out();
        enforce("egress", &seal()).unwrap();
        let count = || counters("egress", ["dropped"]).unwrap();
        assert_eq!(count(), Some([0]));
        let socket = UdpSocket::bind("0.0.0.0:0").unwrap();
        let send = || socket.send_to(b"canary", "192.0.2.1:7");
        for _ in 0..3 {
            send().unwrap_err();
        }
        assert_eq!(count(), Some([3]));
        // In the same table, and then in the place of one that had to go.
        for spoil in ["flush table inet egress", "add chain inet egress more"] {
            nft(spoil);
            let before = count().unwrap();
            enforce("egress", &seal()).unwrap();
            assert_eq!(count(), Some(before), "{spoil}");
            send().unwrap_err();
            assert_eq!(count(), Some([before[0] + 1]), "{spoil}");
        }
    });
}

#[test]
fn counters_that_are_missing_are_no_error() {
    on_a_host(|| {
        assert_eq!(counters("egress", ["dropped"]).unwrap(), None);
        enforce("egress", &seal()).unwrap();
        assert_eq!(counters("egress", ["dropped", "other"]).unwrap(), None);
    });
}

#[test]
fn a_refused_ruleset_changes_nothing_and_says_why() {
    on_a_host(|| {
        enforce("egress", &seal()).unwrap();
        let before = listed("egress");
        let accepted = rule(vec![], None, Verdict::Accept);
        let unknown = rule(vec![], Some("nobody"), Verdict::Drop);
        let rules = vec![accepted.clone(), unknown, accepted];
        let Err(NftError::Apply { source, .. }) = enforce("egress", &ruleset("dropped", rules))
        else {
            panic!("not refused")
        };
        assert_eq!(source.kind(), std::io::ErrorKind::NotFound, "{source}");
        assert_eq!(listed("egress"), before);
    });
}

#[test]
fn many_networks_are_told_in_several_messages_and_all_of_them_hold() {
    on_a_host(|| {
        let _way_out = way_out();
        // Every second address, so that none of them can be told together.
        let nets =
            (0..2_000u32).map(|n| IpNet::from(IpAddr::from(Ipv4Addr::from_bits(FIRST + 2 * n))));
        let to_them = rule(vec![Test::Destination(nets.collect())], None, Verdict::Accept);
        let others = rule(vec![], Some("dropped"), Verdict::Drop);
        enforce("egress", &ruleset("dropped", vec![to_them, others])).unwrap();
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
        container.run(|| enforce("egress", &seal())).unwrap().unwrap();
        container.run(|| counters("egress", ["dropped"])).unwrap().unwrap();
        watch.watch(&container).unwrap();
        let cookie = container.cookie();
        drop(container);
        assert_eq!(deaths(&watch, 1), [cookie]);
    });
}

/// What somebody with `CAP_NET_ADMIN` may have left under the table's name.
const LEFT: [&str; 10] = [
    "add table inet egress { flags dormant; }",
    "add table inet egress { flags dormant; }
     add chain inet egress output { type filter hook output priority -10; policy drop; }",
    "add table inet egress\nadd chain inet egress output",
    "add table inet egress
     add chain inet egress output { type filter hook output priority 300; }",
    "add table inet egress
     add chain inet egress output { type nat hook output priority -10; }",
    "add table inet egress
     add chain inet egress output { type filter hook postrouting priority -10; }",
    "add table inet egress
     add chain inet egress output { type filter hook output priority -10; policy accept; }
     add rule inet egress output counter accept",
    "add table inet egress
     add set inet egress dropped { type ipv4_addr; flags timeout; }
     add map inet egress verdicts { type ifname : verdict; }
     add quota inet egress dropped { over 1 mbytes; }
     add chain inet egress other { type filter hook output priority -20; }
     add rule inet egress other oifname vmap @verdicts",
    "add table inet egress
     add chain inet egress output
     add chain inet egress early { type filter hook output priority -300; }
     add rule inet egress early jump output",
    "add table inet egress_0123456789abcdef\nadd chain inet egress_0123456789abcdef output",
];

#[test]
fn whatever_was_left_under_its_name_is_replaced() {
    let plain = netns().run(|| enforce("egress", &seal()).map(|()| nft("list ruleset"))).unwrap();
    let plain = plain.unwrap();
    for left in LEFT {
        let container = netns();
        container.run(|| nft(left)).unwrap();
        container.run(|| enforce("egress", &seal())).unwrap().unwrap();
        assert_eq!(container.run(|| nft("list ruleset")).unwrap(), plain, "{left}");
    }
}

#[test]
fn many_rules_of_somebodys_are_replaced_in_time() {
    let container = netns();
    let rules = "add rule inet egress output meta mark 7 counter accept\n".repeat(20_000);
    let chain = "add chain inet egress output { type filter hook output priority -10; }";
    container.run(|| nft(&format!("add table inet egress\n{chain}\n{rules}"))).unwrap();
    container.run(|| enforce("egress", &seal())).unwrap().unwrap();
    let listed = container.run(|| listed("egress")).unwrap();
    assert_eq!(listed.matches("accept").count(), 1, "{listed}");
}

/// The kernel takes 1,024 chains at a hook.
const ROOM: usize = 1_024;

/// As many chains of somebody's at the hook of ours.
fn crowd(count: usize) -> String {
    let chain =
        |n| format!("add chain inet crowd c{n} {{ type filter hook output priority 0; }}\n");
    format!("add table inet crowd\n{}", (0..count).map(chain).collect::<Vec<_>>().concat())
}

#[test]
fn where_there_is_no_room_for_its_chains_the_ruleset_is_refused_whole() {
    on_a_host(|| {
        nft(&crowd(ROOM));
        let refused = enforce("egress", &seal()).unwrap_err();
        assert!(matches!(refused, NftError::Apply { .. }), "{refused:?}");
        assert_eq!(listed("egress"), "");
        nft("delete table inet crowd");
        enforce("egress", &seal()).unwrap();
    });
}

#[test]
fn a_ruleset_that_stands_is_changed_also_where_there_is_no_room_for_another() {
    on_a_host(|| {
        enforce("egress", &seal()).unwrap();
        nft(&crowd(ROOM - 1));
        enforce("egress", &open()).unwrap();
        enforce("egress", &seal()).unwrap();
    });
}

/// A table that belongs to the socket of a process, as long as that lives.
struct Owner(Child);

impl Owner {
    fn of(table: &str) -> Owner {
        let nft = Command::new("nft").arg("-i").stdin(Stdio::piped()).spawn().unwrap();
        let mut owner = Owner(nft);
        let lines = format!(
            "add table inet {table} {{ flags owner; }}
             add chain inet {table} output {{ type filter hook output priority -10; }}\n"
        );
        owner.0.stdin.as_mut().unwrap().write_all(lines.as_bytes()).unwrap();
        for _ in 0..500 {
            if listed(table).contains("policy accept") {
                return owner;
            }
            thread::sleep(Duration::from_millis(10));
        }
        panic!("nft makes no table")
    }
}

impl Drop for Owner {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

/// Names of tables of the family `inet`.
fn names() -> Vec<String> {
    let all = nft("list tables inet");
    all.lines().filter_map(|line| line.strip_prefix("table inet ")).map(str::to_owned).collect()
}

#[test]
fn beside_a_table_that_a_process_owns_another_one_holds_and_goes_with_the_owner() {
    on_a_host(|| {
        let _way_out = way_out();
        let socket = UdpSocket::bind("0.0.0.0:0").unwrap();
        let passes = || socket.send_to(b"canary", "192.0.2.1:7").is_ok();
        let owner = Owner::of("egress");
        enforce("egress", &seal()).unwrap();
        assert!(!passes());
        assert_eq!(counters("egress", ["dropped"]).unwrap(), Some([1]));
        let beside = names();
        assert_eq!(beside.len(), 2, "{beside:?}");

        // The same one is opened and closed again.
        enforce("egress", &open()).unwrap();
        assert!(passes());
        assert_eq!(names(), beside);
        enforce("egress", &seal()).unwrap();
        assert!(!passes());

        drop(owner);
        assert!(!passes());
        enforce("egress", &open()).unwrap();
        assert_eq!(names(), ["egress"]);
        assert!(passes());
    });
}

#[test]
fn what_stands_beside_a_table_that_a_process_owns_is_removed_and_that_stays() {
    on_a_host(|| {
        let _owner = Owner::of("egress");
        enforce("egress", &seal()).unwrap();
        remove("egress").unwrap();
        assert_eq!(names(), ["egress"]);
    });
}

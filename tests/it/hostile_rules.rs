//! A seal holds whatever rules somebody who once had `CAP_NET_ADMIN` in the namespace left there,
//! or puts there later.
//!
//! In each case the session is detached and stays sealed, and then an engine connects the container:
//! nothing that an ordinary process sends may be heard outside.

use std::io::Write as _;
use std::net::IpAddr;
use std::process::{Child, Stdio};
use std::time::Duration;

use crate::harness::container::Container;
use crate::harness::engine;
use crate::harness::lab::{Lab, SERVER_V4, SERVER_V6, in_lab};
use crate::harness::namespace::Namespace;
use crate::harness::probe::Probe;
use crate::harness::sniffer::Sniffer;
use crate::harness::verdict::{Allowed, Canary};
use crate::harness::wait;
use crate::harness::world::{World, request, session_id};

const SOON: Duration = Duration::from_secs(10);

/// One of each family and protocol: those that a seal drops without a word take their time.
const PROBES: [Probe; 6] = [
    Probe::Tcp(IpAddr::V4(SERVER_V4)),
    Probe::Udp(IpAddr::V4(SERVER_V4)),
    Probe::Udp(IpAddr::V6(SERVER_V6)),
    Probe::Icmp(IpAddr::V4(SERVER_V4)),
    Probe::Icmp(IpAddr::V6(SERVER_V6)),
    Probe::Dns(IpAddr::V4(SERVER_V4)),
];

/// Somebody's rules: a name for them and a script of nft(8).
type Trap = (&'static str, &'static str);

const TRAPS: [Trap; 19] = [
    ("a dormant table", "add table inet egress_agent { flags dormant; }"),
    (
        "a dormant table with our chains",
        "add table inet egress_agent { flags dormant; }
         add chain inet egress_agent input { type filter hook input priority -10; policy drop; }
         add chain inet egress_agent forward { type filter hook forward priority -10; policy drop; }
         add chain inet egress_agent output { type filter hook output priority -10; policy drop; }",
    ),
    (
        "our chains, accepting",
        "add table inet egress_agent
         add chain inet egress_agent output { type filter hook output priority -10; policy accept; }
         add rule inet egress_agent output oifname \"lo\" accept
         add rule inet egress_agent output counter accept",
    ),
    (
        "a chain of ours at another hook",
        "add table inet egress_agent
         add chain inet egress_agent output { type filter hook postrouting priority -10; }",
    ),
    (
        "a chain of ours with another priority",
        "add table inet egress_agent
         add chain inet egress_agent output { type filter hook output priority 300; }",
    ),
    (
        "a chain of ours of another type",
        "add table inet egress_agent
         add chain inet egress_agent output { type route hook output priority -10; }",
    ),
    (
        "a chain of ours without a hook",
        "add table inet egress_agent
         add chain inet egress_agent output",
    ),
    (
        "a chain of somebody's in our table",
        "add table inet egress_agent
         add chain inet egress_agent early { type filter hook output priority -300; }
         add rule inet egress_agent early accept",
    ),
    (
        "a chain of ours that others jump to",
        "add table inet egress_agent
         add chain inet egress_agent output
         add chain inet egress_agent early { type filter hook output priority -300; }
         add rule inet egress_agent early jump output",
    ),
    (
        "network address translation in our table",
        "add table inet egress_agent
         add chain inet egress_agent out { type nat hook output priority -100; }
         add rule inet egress_agent out meta l4proto udp dnat ip to 198.51.100.10",
    ),
    (
        "other objects under our counters' names",
        "add table inet egress_agent
         add quota inet egress_agent sealed { over 1 mbytes; }
         add limit inet egress_agent refused { rate 1/second; }",
    ),
    (
        "sets and maps in our table",
        "add table inet egress_agent
         add set inet egress_agent open { type ipv4_addr; flags timeout; }
         add map inet egress_agent sealed { type ifname : verdict; }
         add element inet egress_agent sealed { \"eth0\" : accept }",
    ),
    (
        "our rules with a set that takes everything",
        "add table inet egress_agent
         add chain inet egress_agent output { type filter hook output priority -10; policy drop; }
         add rule inet egress_agent output ip daddr { 0.0.0.0-255.255.255.255 } accept
         add rule inet egress_agent output ip6 daddr { ::/0 } accept",
    ),
    (
        "another table that accepts before",
        "add table inet early
         add chain inet early output { type filter hook output priority -300; policy accept; }
         add rule inet early output accept",
    ),
    (
        "another table that does not track connections",
        "add table inet early
         add chain inet early output { type filter hook output priority -300; }
         add rule inet early output notrack
         add chain inet early input { type filter hook prerouting priority -300; }
         add rule inet early input notrack",
    ),
    (
        "another table that translates addresses",
        "add table inet early
         add chain inet early output { type nat hook output priority -100; }
         add rule inet early output meta l4proto { tcp, udp } dnat ip to 198.51.100.10",
    ),
    (
        "another table that rewrites late",
        "add table inet late
         add chain inet late out { type filter hook postrouting priority 300; }
         add rule inet late out ip daddr set 198.51.100.10",
    ),
    (
        "marks and routes of their own",
        "add table inet early
         add chain inet early output { type route hook output priority -150; }
         add rule inet early output meta mark set 7 ct mark set 7",
    ),
    (
        "tables of the same name in other families",
        "add table ip egress_agent { flags dormant; }
         add table ip6 egress_agent { flags dormant; }
         add table bridge egress_agent",
    ),
];

/// An ear outside, and what no container may be heard to say.
struct Outside<'a> {
    lab: &'a Lab,
    sniffer: Sniffer,
    allowed: Allowed,
}

impl<'a> Outside<'a> {
    fn of(lab: &'a Lab, world: &World<'_>) -> Self {
        Self { lab, sniffer: lab.sniff(), allowed: world.allowed() }
    }

    /// What is heard of a container once an engine has connected it.
    fn heard_of(&self, container: &Namespace, number: u8) -> Option<String> {
        engine::connect(self.lab, container, number);
        self.heard_now(container)
    }

    fn heard_now(&self, container: &Namespace) -> Option<String> {
        self.sniffer.clear();
        let canary = Canary::random();
        for probe in PROBES {
            // A refusal is as good as silence.
            let _ = container.run(|| probe.send(&canary));
        }
        self.sniffer.offences(&self.allowed, &canary).into_iter().next()
    }
}

pub fn nft(container: &Namespace, script: &str) {
    let mut nft = container.command("nft");
    let nft = nft.args(["-f", "-"]).stdin(Stdio::piped()).stderr(Stdio::piped());
    let mut nft = nft.spawn().expect("start nft");
    let mut stdin = nft.stdin.take().expect("stdin is piped");
    stdin.write_all(format!("{script}\n").as_bytes()).expect("write to nft");
    drop(stdin);
    let output = nft.wait_with_output().expect("wait for nft");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "nft refused:\n{script}\n{said}");
}

/// Every trap in a container of its own; `spring` puts it there and attaches in some order.
fn each_trap(spring: impl Fn(&World<'_>, &Container, &str, &str) + Sync) {
    in_lab(|lab| {
        let world = World::new(lab, 2);
        let outside = Outside::of(lab, &world);
        let mut wrong = Vec::new();
        for (number, (what, script)) in (0..).zip(TRAPS) {
            let name = format!("c-{number}");
            let container = Container::with_process(&name);
            spring(&world, &container, &name, script);
            if world.agent.session(&session_id(&name)).is_some() {
                world.agent.detach(&session_id(&name), false);
            } else {
                wrong.push(format!("{what}: not attached"));
            }
            let heard = outside.heard_of(container.namespace(), number);
            wrong.extend(heard.map(|heard| format!("{what}: {heard}")));
            container.destroy();
        }
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    });
}

#[track_caller]
fn attach(world: &World<'_>, container: &Container, name: &str) {
    let attached = world.agent.attach(&request(name, container.by_path(), 0));
    attached.unwrap_or_else(|problem| panic!("attach {name}: {problem:?}"));
    container.wait_for_traffic(SOON);
}

#[test]
fn rules_from_before_the_attach_do_not_open_the_seal() {
    each_trap(|world, container, name, script| {
        nft(container.namespace(), script);
        // Without a session the case has failed.
        let _ = world.agent.attach(&request(name, container.by_path(), 0));
    });
}

#[test]
fn rules_in_the_place_of_the_seal_do_not_outlive_the_session() {
    each_trap(|world, container, name, script| {
        attach(world, container, name);
        nft(container.namespace(), &format!("delete table inet egress_agent\n{script}"));
    });
}

#[test]
fn rules_beside_the_seal_do_not_outlive_the_session() {
    in_lab(|lab| {
        let world = World::new(lab, 1);
        let outside = Outside::of(lab, &world);
        let container = Container::with_process("c-1");
        attach(&world, &container, "c-1");
        let rules = "insert rule inet egress_agent output accept
                     add chain inet egress_agent early { type filter hook output priority -300; }
                     add rule inet egress_agent early counter name sealed accept";
        nft(container.namespace(), rules);
        nft(container.namespace(), "add table inet egress_agent { flags dormant; }");
        world.agent.detach(&session_id("c-1"), false);
        assert_eq!(outside.heard_of(container.namespace(), 0), None);
    });
}

/// A table that belongs to the socket of a process, as long as that lives.
struct Owner(Child);

impl Owner {
    fn of(container: &Container, table: &str) -> Self {
        let mut nft = container.namespace().command("nft");
        let mut child = nft.arg("-i").stdin(Stdio::piped()).spawn().expect("start nft");
        let script = format!(
            "add table inet {table} {{ flags owner; }}
             add chain inet {table} output {{ type filter hook output priority -10; }}\n"
        );
        let stdin = child.stdin.as_mut().expect("stdin is piped");
        stdin.write_all(script.as_bytes()).expect("write to nft");
        wait::until("a table is owned", SOON, || {
            let listed = listed(container.namespace());
            listed.contains("flags owner") && listed.contains("policy accept")
        });
        Self(child)
    }
}

impl Drop for Owner {
    fn drop(&mut self) {
        // It may have ended with the test's host.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn listed(container: &Namespace) -> String {
    let output = container.command("nft").args(["list", "ruleset"]).output().expect("run nft");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn a_table_that_a_process_owns_neither_keeps_a_container_from_being_sealed_nor_opens_it() {
    in_lab(|lab| {
        let world = World::new(lab, 2);
        let outside = Outside::of(lab, &world);
        let container = Container::with_process("c-1");
        let owner = Owner::of(&container, "egress_agent");
        attach(&world, &container, "c-1");
        world.agent.detach(&session_id("c-1"), false);
        assert_eq!(outside.heard_of(container.namespace(), 0), None, "owned before the attach");
        drop(owner);
        assert_eq!(outside.heard_now(container.namespace()), None, "its owner has ended");

        let container = Container::with_process("c-2");
        attach(&world, &container, "c-2");
        nft(container.namespace(), "delete table inet egress_agent");
        let _owner = Owner::of(&container, "egress_agent");
        world.agent.detach(&session_id("c-2"), false);
        assert_eq!(outside.heard_of(container.namespace(), 1), None, "owned while connected");
    });
}

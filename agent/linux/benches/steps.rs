//! How long each step of an attach takes in the kernel. Needs root.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "it measures and prints")]

use std::{
    sync::Barrier,
    thread,
    time::{Duration, Instant},
};

use egress_core::firewall::{Opening, Policy, Ruleset};
use egress_linux::{
    death::Watch,
    link::{Interface, configure},
    netns::Netns,
    nft,
    tun::{self, Device, Offload},
};
use nix::sched::{CloneFlags, unshare};

const ROUNDS: usize = 100;
const AT_ONCE: usize = 40;
fn main() {
    unshare(CloneFlags::CLONE_NEWNET).unwrap();
    let containers: Vec<Netns> = many("make a namespace", |_| Netns::create().unwrap());
    let entered = |round: usize| containers[round].run(|| ()).unwrap();
    many("enter a namespace", entered);
    let watch = Watch::open().unwrap();
    many("watch a namespace", |round| watch.watch(&containers[round]).unwrap());
    let (closed, open) = (Policy::Closed.ruleset(), open().ruleset());
    let enforce = |round: usize, ruleset: &Ruleset| {
        containers[round].run(|| nft::enforce("egress", ruleset)).unwrap().unwrap();
    };
    many("nft close", |round| enforce(round, &closed));
    many("nft open", |round| enforce(round, &open));
    many("nft open again", |round| enforce(round, &open));
    many("nft close again", |round| enforce(round, &closed));
    in_a_row(&closed, &open);
    let count = || nft::counters("egress", ["sealed", "refused"]).unwrap().unwrap();
    many("nft counters", |round| containers[round].run(count).unwrap());
    let devices = many("tun create", |_| device());
    many("tun move", |round| {
        tun::move_into(devices[round].index, &containers[round], "eg0").unwrap();
    });
    let wanted = interface();
    let set = |round: usize| {
        let set = || configure(tun::index(&devices[round].fd).unwrap(), &wanted).unwrap();
        containers[round].run(set).unwrap();
    };
    many("link configure", set);
    many("link configure again", set);
    drop(devices);
    let mut devices = many("tun create inside", |round| containers[round].run(device).unwrap());
    many("tun close", |_| drop(devices.pop()));
    at_once("moved", moved);
    at_once("made inside", |container| container.run(device).unwrap());
}

/// Each right after the one before, in one namespace: what the kernel still has to destroy of one
/// change must not hold up the next.
fn in_a_row(closed: &Ruleset, open: &Ruleset) {
    let containers: Vec<Netns> = (0..ROUNDS).map(|_| Netns::create().unwrap()).collect();
    let steps: [(&str, &(dyn Fn() + Sync)); 5] = [
        ("nft in a row: close", &|| nft::enforce("egress", closed).unwrap()),
        ("nft in a row: open", &|| nft::enforce("egress", open).unwrap()),
        ("nft in a row: open again", &|| nft::enforce("egress", open).unwrap()),
        ("nft in a row: close again", &|| nft::enforce("egress", closed).unwrap()),
        ("nft in a row: remove", &|| nft::remove("egress").unwrap()),
    ];
    let mut times = vec![Vec::new(); steps.len()];
    for container in containers {
        for ((_, step), times) in steps.iter().zip(&mut times) {
            let begin = Instant::now();
            container.run(step).unwrap();
            times.push(begin.elapsed());
        }
    }
    for ((name, _), times) in steps.iter().zip(times) {
        print(name, times);
    }
}

fn open() -> Policy {
    let nets = |nets: &[&str]| nets.iter().map(|it| it.parse().unwrap()).collect();
    Policy::Open(Opening {
        device: 2,
        ipv4: true,
        ipv6: true,
        dns: vec!["10.64.0.1".parse().unwrap()],
        refuse: nets(&[
            "10.0.0.0/8",
            "169.254.0.0/16",
            "172.16.0.0/12",
            "192.168.0.0/16",
            "224.0.0.0/4",
            "fc00::/7",
            "fe80::/10",
            "ff00::/8",
        ]),
        allow: Vec::new(),
    })
}

fn device() -> Device {
    tun::create("eg%d", 1420, Offload::Off).unwrap()
}

fn interface() -> Interface {
    let nets = |nets: [&str; 2]| nets.map(|net| net.parse().unwrap()).to_vec();
    Interface {
        addresses: nets(["10.9.0.2/32", "fd09::2/128"]),
        mtu: 1420,
        routes: nets(["0.0.0.0/0", "::/0"]),
    }
}

/// Makes a device ready inside, from each of many threads.
fn at_once(way: &str, make: impl Fn(&Netns) -> Device + Sync) {
    let containers: Vec<Netns> = (0..AT_ONCE).map(|_| Netns::create().unwrap()).collect();
    let start = Barrier::new(AT_ONCE);
    let attach = |container: &Netns| {
        start.wait();
        let begin = Instant::now();
        let device = make(container);
        let index = || tun::index(&device.fd).unwrap();
        container.run(|| configure(index(), &interface()).unwrap()).unwrap();
        (device, begin.elapsed())
    };
    let results: Vec<_> = thread::scope(|scope| {
        let threads: Vec<_> =
            containers.iter().map(|container| scope.spawn(|| attach(container))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    print(&format!("{AT_ONCE} at once, {way}"), results.iter().map(|result| result.1).collect());
}

fn moved(container: &Netns) -> Device {
    let device = device();
    tun::move_into(device.index, container, "eg0").unwrap();
    device
}

fn many<T>(step: &str, mut f: impl FnMut(usize) -> T) -> Vec<T> {
    let measure = |round| {
        let begin = Instant::now();
        let result = f(round);
        (begin.elapsed(), result)
    };
    let (times, results) = (0..ROUNDS).map(measure).unzip();
    print(step, times);
    results
}

fn print(step: &str, mut times: Vec<Duration>) {
    times.sort();
    let at = |share: usize| times[(times.len() * share / 100).min(times.len() - 1)];
    println!("{step:26} p50 {:9.3?}  p99 {:9.3?}", at(50), at(99));
}

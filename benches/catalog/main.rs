//! What a large catalog costs the daemon as shipped: 10,000 gateways, 1,000 credentials, 5,000
//! mappings are applied, asked for menus, and attached through.

mod catalog;
#[path = "../../tests/it/harness/mod.rs"]
#[allow(dead_code, reason = "the tests use the rest")]
mod harness;
#[path = "../endurance/process.rs"]
#[allow(dead_code, reason = "the hard life uses the rest")]
mod process;

use std::fs;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use egress_core::api::OfferList;

use harness::agent::Agent;
use harness::container::Container;
use harness::lab::in_lab;
use harness::wireguard_peer::Program;
use harness::world::{World, request};

/// Credentials of the one gateway that answers; the rest of the thousand are the catalog's.
const ATTACHES: u16 = 100;
const CALLS: u32 = 500;

fn main() {
    in_lab(|lab| {
        let config = "[wireguard]\ndevice = \"inside\"\n";
        let world = World::with(lab, ATTACHES, Program::WireguardGo, config);
        let before = resident_mib(&world.agent);
        apply(&world.agent, "first", &catalog::document(1_000 - usize::from(ATTACHES), "Malmö"));
        apply(&world.agent, "unchanged", &catalog::document(0, "Malmö"));
        apply(&world.agent, "each gateway changed", &catalog::document(0, "Borås"));
        let applied = resident_mib(&world.agent);
        menus(&world.agent, "a mapping at each provider", "user=u7&groups=staff");
        menus(&world.agent, "a mapping at one provider", "user=one&groups=staff");
        menus(&world.agent, "no mapping", "user=nobody");
        attaches(&world);
        let asked = resident_mib(&world.agent);
        say(&format!(
            "resident memory of control: {before:.1} MiB empty, {applied:.1} MiB with the \
             catalog, {asked:.1} MiB at the end"
        ));
    });
}

fn apply(agent: &Agent<'_>, what: &str, document: &str) {
    let start = Instant::now();
    let reply = agent.ask("POST", "/v1/catalog:apply", document);
    assert_eq!(reply.status, 200, "{}", reply.body);
    say(&format!("apply, {what}: {:.2?} for {} bytes", start.elapsed(), document.len()));
}

fn menus(agent: &Agent<'_>, who: &str, query: &str) {
    let path = format!("/v1/offers?{query}");
    let menu: OfferList = agent.ask("GET", &path, "").json();
    let mut reply = Vec::new();
    let worked = process::cpu_seconds(agent.pid());
    let times = (0..CALLS).map(|_| until_the_last_byte(agent, &path, &mut reply)).collect();
    let worked = process::cpu_seconds(agent.pid()) - worked;
    let each = worked * 1e3 / f64::from(CALLS);
    let (count, kb) = (menu.offers.len(), reply.len() / 1_000);
    report(&format!("offers, {who}, {count} of them in {kb} kB, {each:.2} ms of CPU"), times);
}

/// How long a call takes, from connecting on. Its reply is not looked into.
fn until_the_last_byte(agent: &Agent<'_>, path: &str, reply: &mut Vec<u8>) -> Duration {
    let request = format!("GET {path} HTTP/1.1\r\nHost: agent\r\nConnection: close\r\n\r\n");
    reply.clear();
    let start = Instant::now();
    let mut stream = UnixStream::connect(agent.socket()).expect("connect to the agent");
    stream.write_all(request.as_bytes()).expect("ask the agent");
    stream.read_to_end(reply).expect("read its reply");
    let took = start.elapsed();
    assert!(reply.starts_with(b"HTTP/1.1 200"), "it is refused");
    took
}

fn attaches(world: &World<'_>) {
    let attach = |number: u16| {
        let container = Container::named(&format!("c-{number}"));
        let mut asked = request(container.namespace().name(), container.by_path(), 0);
        asked.subject.user = Some("u7".to_owned());
        asked.subject.groups.push("staff".to_owned());
        let session = world.agent.attach(&asked);
        let session = session.unwrap_or_else(|problem| panic!("attach: {problem:?}"));
        let select = Duration::from_secs_f64(session.timings_ms.unwrap_or_default().select / 1e3);
        (container, select)
    };
    let (_containers, times): (Vec<_>, Vec<_>) = (0..ATTACHES).map(attach).unzip();
    report("an attach's select stage", times);
}

fn report(what: &str, mut times: Vec<Duration>) {
    times.sort();
    let at = |per_mille: usize| times[(times.len() * per_mille / 1_000).min(times.len() - 1)];
    let (p50, p99, most) = (at(500), at(990), at(1_000));
    say(&format!("{what}: p50 {p50:.2?}, p99 {p99:.2?}, most {most:.2?}"));
}

fn resident_mib(agent: &Agent<'_>) -> f64 {
    let status = fs::read_to_string(format!("/proc/{}/status", agent.pid())).expect("it runs");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("it has memory");
    let kib: f64 = line.trim().trim_end_matches(" kB").parse().expect("a number of kB");
    kib / 1024.0
}

#[expect(clippy::print_stdout, reason = "the figures are the bench's result")]
fn say(line: &str) {
    println!("{line}");
}

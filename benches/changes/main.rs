//! Costs of small changes in the daemon beside 10,000 gateways: an import, a switch, a delete, and
//! pushes of them all with one that has changed.

#[path = "../../tests/it/harness/mod.rs"]
#[allow(dead_code, reason = "the tests use the rest")]
mod harness;
#[path = "../endurance/process.rs"]
#[allow(dead_code, reason = "the hard life uses the rest")]
mod process;
mod profiles;

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use harness::agent::Agent;
use harness::lab::in_lab;
use harness::push::{PROVIDER, push};

const GATEWAYS: u64 = 10_000;
const CHANGES: u32 = 50;
const PUSHES: u64 = 10;
/// Milliseconds of the control process' CPU that one change may cost.
const CHANGE_GOAL: f64 = 10.0;
/// Time that a push which changes one gateway may take.
const PUSH_GOAL: Duration = Duration::from_millis(300);
/// How much more control may have in memory after all pushes than after the first.
const MEMORY_GOAL: f64 = 1.3;

fn main() {
    in_lab(|lab| {
        let agent = Agent::start_with(lab, "[log]\nlevel = \"warn\"\n");
        agent.apply(&json!({"provider": [{
            "id": PROVIDER, "name": "pushed", "type": "openvpn", "managed": true,
            "enable_new_managed_gateways": true,
        }]}));
        pushes(&agent);
        changes(&agent);
    });
}

fn pushes(agent: &Agent<'_>) {
    let mut after_first = 0.0;
    for version in 1..=PUSHES {
        let snapshot = profiles::snapshot(version, GATEWAYS);
        let (worked, start) = (process::cpu_seconds(agent.pid()), Instant::now());
        let reply = push(agent, &snapshot, "");
        let took = start.elapsed();
        assert_eq!(reply.status, 200, "{}", reply.body);
        let worked = process::cpu_seconds(agent.pid()) - worked;
        let resident = mib(agent);
        if version == 1 {
            after_first = resident;
        }
        let verdict = if version == 1 { String::new() } else { goal(took <= PUSH_GOAL, "0.3 s") };
        say(&format!(
            "push {version} of {} MB: {took:.0?}{verdict}, {worked:.2} s of CPU; {resident:.0} MiB",
            snapshot.len() / 1_000_000
        ));
    }
    let times = mib(agent) / after_first;
    let verdict = goal(times <= MEMORY_GOAL, "1.3");
    say(&format!("memory after {PUSHES} pushes: {times:.2} times that after the first{verdict}"));
}

fn changes(agent: &Agent<'_>) {
    let imported = (0..CHANGES).map(|n| ("POST", "/v1/catalog:apply".to_owned(), import(n)));
    each(agent, "an import", imported.collect());
    let gateways: Value = agent.ask("GET", "/v1/gateways?limit=60", "").json();
    let ids: Vec<String> = gateways["gateways"]
        .as_array()
        .expect("a list")
        .iter()
        .filter_map(|it| it["id"].as_str().map(|id| format!("/v1/gateways/{id}")))
        .take(CHANGES as usize)
        .collect();
    let off = json!({"enabled": false});
    each(agent, "a switch", ids.iter().map(|at| ("PATCH", at.clone(), off.clone())).collect());
    each(agent, "a delete", ids.into_iter().map(|at| ("DELETE", at, Value::Null)).collect());
}

fn each(agent: &Agent<'_>, what: &str, calls: Vec<(&str, String, Value)>) {
    let count = f64::from(u32::try_from(calls.len()).expect("few"));
    let worked = process::cpu_seconds(agent.pid());
    for (method, path, body) in calls {
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let reply = match method {
            "POST" => agent.ask(method, &path, &body),
            _ => agent.ask_if(method, &path, "*", &body),
        };
        assert!(matches!(reply.status, 200 | 204), "{method} {path}: {}", reply.body);
    }
    let cost = (process::cpu_seconds(agent.pid()) - worked) * 1e3 / count;
    say(&format!("{what}: {cost:.2} ms of CPU{}", goal(cost <= CHANGE_GOAL, "10 ms")));
}

/// The document that `egressctl import` sends of one file.
fn import(number: u32) -> Value {
    let name = format!("own-{number}");
    json!({
        "provider": [{"name": name, "type": "openvpn"}],
        "gateway": [{"provider": name, "name": name, "config": profiles::profile(u64::from(number), 0)}],
        "mapping": [{"provider": name, "user": "ann"}],
        "credential": [{"provider": name, "name": "ann", "user": "ann", "username": "ann",
            "password": "secret"}],
    })
}

fn mib(agent: &Agent<'_>) -> f64 {
    f64::from(u32::try_from(agent.resident_kib()).expect("less than 4 TiB")) / 1024.0
}

fn goal(met: bool, goal: &str) -> String {
    format!(", {} the goal of {goal}", if met { "within" } else { "above" })
}

#[expect(clippy::print_stdout, reason = "the figures are the bench's result")]
fn say(line: &str) {
    println!("{line}");
}

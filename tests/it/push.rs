//! What plugin services push, and who does not notice.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::process::CommandExt;
use std::process::Output;
use std::thread;
use std::time::{Duration, Instant};

use egress_core::api::{
    Code, GatewayList, GatewayRecord, Problem, ProviderList, PushReport, SessionState,
};
use serde_json::json;

use crate::harness::agent::Agent;
use crate::harness::container::Container;
use crate::harness::lab::in_lab;
use crate::harness::namespace::host_command;
use crate::harness::push::{Askers, PROVIDER, make_provider, push, snapshot};
use crate::harness::wait;
use crate::harness::wireguard_peer::Program;
use crate::harness::world::{World, request};

const EGRESSCTL: &str = env!("CARGO_BIN_EXE_egressctl");
const EXAMPLE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/configs/plugin/snapshot.py");
const NOBODY: u32 = 65_534;

fn gateways(agent: &Agent<'_>) -> Vec<GatewayRecord> {
    let all = agent.ask("GET", "/v1/gateways", "").json::<GatewayList>().gateways;
    let id = PROVIDER.parse().unwrap();
    all.into_iter().filter(|gateway| gateway.provider_id == id).collect()
}

fn pushed_version(agent: &Agent<'_>) -> Option<u64> {
    let list: ProviderList = agent.ask("GET", "/v1/providers", "").json();
    list.providers.into_iter().find(|it| it.name == "pushed").unwrap().snapshot_version
}

#[track_caller]
fn taken(agent: &Agent<'_>, snapshot: &str) -> PushReport {
    let reply = push(agent, snapshot, "");
    assert_eq!(reply.status, 200, "push: {}", reply.body);
    reply.json()
}

/// The age of a session's handshake.
fn handshake_age(agent: &Agent<'_>, session: &str) -> f64 {
    agent.metric("egress_session_handshake_age_seconds", &[&format!("\"{session}\"")])
}

#[test]
fn fifty_sessions_do_not_notice_a_push_of_ten_thousand_gateways() {
    in_lab(|lab| {
        let world = World::new(lab, 50);
        make_provider(&world.agent);
        let names: Vec<_> = (0..50).map(|n| format!("c-{n}")).collect();
        let containers: Vec<_> = names.iter().map(|name| Container::named(name)).collect();
        thread::scope(|scope| {
            for (name, container) in names.iter().zip(&containers) {
                let (agent, mut asked) = (&world.agent, request(name, container.by_path(), 0));
                asked.deadline_ms = 60_000;
                scope.spawn(move || agent.attach(&asked).unwrap());
            }
        });
        let askers = Askers::start(containers.iter());
        wait::until("every container asks", Duration::from_secs(20), || askers.asked() > 500);
        let ages: Vec<_> = names.iter().map(|name| handshake_age(&world.agent, name)).collect();

        let start = Instant::now();
        let report = taken(&world.agent, &snapshot(1, 10_000));
        let took = start.elapsed();
        assert_eq!(report.gateways.created.len(), 10_000);
        let start_of_second = Instant::now();
        let report = taken(&world.agent, &snapshot(2, 10_000));
        assert_eq!(report.gateways.updated.len(), 10_000);
        println!(
            "10,000 gateways pushed in {took:?}, all changed in {:?}",
            start_of_second.elapsed()
        );
        assert!(took < Duration::from_mins(1), "{took:?}");

        let (asked, lost, longest) = askers.finish();
        println!("{asked} datagrams, {lost} lost, the longest wait {longest:?}");
        assert_eq!(lost, 0);
        let passed = start.elapsed().as_secs_f64();
        for (name, before) in names.iter().zip(ages) {
            let now = handshake_age(&world.agent, name);
            assert!(
                now > before + passed - 3.0,
                "{name} shook hands again: {before} s, then {now} s"
            );
        }
        let sessions = world.agent.sessions();
        assert!(sessions.iter().all(|session| session.state == SessionState::Connected));
        assert_eq!((sessions.len(), world.agent.live_connections()), (50, 50));
    });
}

#[test]
fn a_push_with_three_bad_entries_changes_nothing_and_lists_the_three() {
    in_lab(|lab| {
        let agent = Agent::start(lab);
        make_provider(&agent);
        taken(&agent, &snapshot(1, 20));
        let before = gateways(&agent);
        let mut bad: serde_json::Value = serde_json::from_str(&snapshot(2, 20)).unwrap();
        bad["gateways"][3]["name"] = json!("");
        bad["gateways"][7]["config"] = json!("[Interface]\nAddress = 10.0.0.300\n");
        bad["gateways"][11]["colour"] = json!("red");
        // What is not of the documented form is found first, then what does not fit.
        let reply = push(&agent, &bad.to_string(), "");
        let problem: Problem = reply.json();
        assert_eq!((problem.status, problem.code), (400, Code::InvalidRequest));
        assert_eq!(problem.faults[0].field.as_deref(), Some("gateways[11].colour"));
        bad["gateways"][11].as_object_mut().unwrap().remove("colour");
        bad["gateways"][11]["city"] = json!("two\nlines");
        let problem: Problem = push(&agent, &bad.to_string(), "").json();
        let told: BTreeSet<_> =
            problem.faults.iter().filter_map(|fault| fault.external_id.as_deref()).collect();
        assert_eq!(told, BTreeSet::from(["x-11", "x-3", "x-7"]), "{:?}", problem.faults);
        let line = problem.faults.iter().find(|it| it.external_id.as_deref() == Some("x-7"));
        assert_eq!(line.unwrap().line, Some(2));
        assert_eq!(gateways(&agent), before);
        assert_eq!(pushed_version(&agent), Some(1));
    });
}

#[test]
fn versions_grow_and_a_dry_run_changes_nothing() {
    in_lab(|lab| {
        let agent = Agent::start(lab);
        make_provider(&agent);
        let dry: PushReport = push(&agent, &snapshot(5, 3), "?dry_run=1").json();
        assert_eq!(
            (dry.dry_run, &dry.gateways.created[..]),
            (true, &["x-0", "x-1", "x-2"].map(String::from)[..])
        );
        assert_eq!((gateways(&agent).len(), pushed_version(&agent)), (0, None));

        taken(&agent, &snapshot(5, 3));
        let before = gateways(&agent);
        let same = taken(&agent, &snapshot(5, 3));
        assert_eq!((same.gateways.unchanged, same.gateways.updated.len()), (3, 0));
        for (version, count, code) in [(4, 3, Code::SnapshotOutdated), (5, 2, Code::SnapshotReused)]
        {
            for query in ["", "?dry_run=1"] {
                let problem: Problem = push(&agent, &snapshot(version, count), query).json();
                assert_eq!((problem.status, problem.code), (409, code), "{}", problem.detail);
            }
        }
        assert_eq!(gateways(&agent), before);
        let less = taken(&agent, &snapshot(6, 2));
        assert_eq!(less.gateways.withdrawn, ["x-2"]);
        let gone = gateways(&agent).into_iter().find(|it| it.withdrawn).unwrap();
        assert_eq!((gone.external_id.as_deref(), gone.enabled), (Some("x-2"), false));

        let unmanaged = "00000000-0000-7000-8000-0000000003fe";
        agent.apply(&json!({"provider": [{"id": unmanaged, "name": "own", "type": "custom"}]}));
        for (provider, code) in [
            (unmanaged, Code::ProviderNotManaged),
            ("00000000-0000-7000-8000-0000000003fd", Code::NoSuchRecord),
        ] {
            let path = format!("/v1/providers/{provider}/managed-gateways");
            let problem: Problem = agent.ask("PUT", &path, &snapshot(1, 1)).json();
            assert_eq!(problem.code, code, "{}", problem.detail);
        }
        assert!(agent.metric("egress_managed_pushes_total", &["taken"]) >= 4.0);
        assert!(agent.metric("egress_managed_pushes_total", &["refused"]) >= 6.0);
    });
}

#[test]
fn a_session_through_a_gateway_that_is_withdrawn_runs_on() {
    in_lab(|lab| {
        let world = World::new(lab, 2);
        world.agent.apply(&json!({"provider": [
            {"name": "lab", "type": "wireguard", "managed": true}]}));
        let id = world.agent.offers("groups=All%20Users").offers[0].gateway.id;
        let (container, _) = world.attached("c-1");
        let provider =
            world.agent.ask("GET", "/v1/providers", "").json::<ProviderList>().providers[0].id;
        // The admin tells the service's id of the gateway, and the service's next snapshot has none.
        let config =
            crate::harness::world::gateway_config(&world.peer, &world.peer.endpoint(1).to_string());
        world.agent.apply(&json!({"gateway": [{"id": id, "provider": "lab", "name": "gw0",
            "country": "NL", "city": "Amsterdam", "config": config, "external_id": "x-0"}]}));
        let path = format!("/v1/providers/{provider}/managed-gateways");
        let reply = world.agent.ask("PUT", &path, r#"{"version": 1, "gateways": []}"#);
        assert_eq!(reply.json::<PushReport>().gateways.withdrawn, ["x-0"], "{}", reply.body);
        container.wait_for_traffic(Duration::from_secs(5));
        let other = Container::named("c-2");
        let problem = world.agent.attach(&request("c-2", other.by_path(), 0)).unwrap_err();
        assert_eq!(problem.code, Code::NotOffered);
        container.wait_for_traffic(Duration::from_secs(5));
        assert_eq!(world.agent.live_connections(), 1);
    });
}

/// A hundred times on one host: each try ends at another moment of a push.
#[test]
fn a_kill_in_the_middle_of_a_push_leaves_the_old_or_the_new_set() {
    in_lab(|lab| {
        let mut agent = Agent::start(lab);
        make_provider(&agent);
        let start = Instant::now();
        taken(&agent, &snapshot(1, COUNT));
        // How long a push takes, as far as is known: longer when the machine is busier.
        let mut usual = start.elapsed();
        let mut last = 1;
        let (mut old, mut new) = (0, 0);
        for attempt in 0..TRIES {
            let (next, count) = (last + 1, COUNT - u64::from(attempt % 7));
            let pushing = snapshot(next, count);
            let patience = usual * (attempt % 20) / 10;
            let acknowledged = thread::scope(|scope| {
                let socket = agent.socket().to_owned();
                let path = format!("/v1/providers/{PROVIDER}/managed-gateways");
                let push =
                    scope.spawn(move || crate::harness::http::ask(&socket, "PUT", &path, &pushing));
                thread::sleep(patience);
                agent.kill_control();
                push.join().unwrap().is_ok_and(|reply| reply.status == 200)
            });
            agent.start_again();
            let version = pushed_version(&agent).expect("the first was acknowledged");
            assert!(version == next || (version == last && !acknowledged), "{version} of {next}");
            is_whole(&agent, version, if version == next { count } else { 0 });
            if version == next {
                new += 1;
            } else {
                old += 1;
                usual = usual.max(patience);
            }
            last = version;
        }
        println!(
            "killed {TRIES} times: {old} times the old set stayed, {new} times the new one stood"
        );
        assert!(old > 0 && new > 0, "no try ended in the middle: {old} old, {new} new");
    });
}

const TRIES: u32 = 100;
const COUNT: u64 = 400;

/// Whether every gateway that is not withdrawn is of this version, and how many there are.
fn is_whole(agent: &Agent<'_>, version: u64, count: u64) {
    let (gone, here): (Vec<_>, Vec<_>) = gateways(agent).into_iter().partition(|it| it.withdrawn);
    let (name, city) = (format!(" of {version}"), format!("city {version}"));
    for gateway in &here {
        assert!(
            gateway.enabled && gateway.city == city && gateway.name.ends_with(&name),
            "{gateway:?}"
        );
    }
    assert!(gone.iter().all(|gateway| !gateway.enabled));
    assert_eq!((gone.len() + here.len()) as u64, COUNT);
    assert!(count == 0 || here.len() as u64 == count, "{} of {count}", here.len());
}

/// `egressctl` as a user who is nothing but a plugin.
fn as_plugin(arguments: &[&str]) -> Output {
    let mut command = host_command(EGRESSCTL);
    command.args(arguments).uid(NOBODY).gid(NOBODY).output().expect("run egressctl")
}

#[test]
fn a_plugin_pushes_to_its_own_provider_and_does_nothing_else() {
    in_lab(|lab| {
        let config = format!(
            "[api]\ngroup = \"{NOBODY}\"\n[roles.plugin]\nusers = [{NOBODY}]\nproviders = [\"pushed\"]\n"
        );
        let world = World::with(lab, 0, Program::WireguardGo, &config);
        make_provider(&world.agent);
        let other = "00000000-0000-7000-8000-0000000003fe";
        world.agent.apply(&json!({"provider": [
            {"id": other, "name": "other", "type": "wireguard", "managed": true}]}));
        fs::write("/run/snapshot.json", snapshot(1, 3)).unwrap();
        let push = ["plugin", "push", "/run/snapshot.json", "--provider"];
        let said = |arguments: &[&str], code: i32| {
            let output = as_plugin(arguments);
            let said = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
            assert_eq!(output.status.code(), Some(code), "{arguments:?}: {said}");
            said
        };
        let dry = said(&[&push[..], &[PROVIDER, "--dry-run"]].concat(), 0);
        assert!(dry.contains("gateway x-2 would be created"), "{dry}");
        assert!(gateways(&world.agent).is_empty());
        let done = said(&[&push[..], &[PROVIDER]].concat(), 0);
        assert!(done.contains("gateways: 3 created"), "{done}");
        assert_eq!(pushed_version(&world.agent), Some(1));
        for stranger in [other, "00000000-0000-7000-8000-000000000000"] {
            let refused = said(&[&push[..], &[stranger]].concat(), 1);
            assert!(refused.contains("forbidden"), "{refused}");
        }
        said(&[&push[..], &["pushed"]].concat(), 64);
        let shown = said(&["provider", "show", PROVIDER], 0);
        assert!(shown.contains("pushed"), "{shown}");
        for call in [
            &["sessions"][..],
            &["offers", "--user", "ann"],
            &["connections"],
            &["provider", "list"],
            &["provider", "show", other],
            &["gateway", "list"],
        ] {
            assert!(said(call, 1).contains("forbidden"));
        }
        let audit = world.agent.log();
        let refused = audit.lines().filter(|line| {
            line.contains("\"audit\"")
                && line.contains("managed-gateways")
                && line.contains(other)
                && line.contains("forbidden")
        });
        assert_eq!(refused.count(), 1, "a refused push is audited");
    });
}

#[test]
fn the_example_plugin_pushes_what_lies_in_a_directory() {
    in_lab(|lab| {
        let agent = Agent::start(lab);
        make_provider(&agent);
        let dir = "/run/inventory";
        fs::create_dir(dir).unwrap();
        let write = |name: &str| {
            let config = serde_json::from_str::<serde_json::Value>(&snapshot(1, 1)).unwrap();
            let config = config["gateways"][0]["config"].as_str().unwrap().to_owned();
            fs::write(format!("{dir}/{name}.conf"), config).unwrap();
        };
        write("Sweden_Malmö_se-1");
        write("Norway_Oslo_no-1");
        let push = || {
            let line = format!("{EXAMPLE} {dir} | {EGRESSCTL} plugin push - --provider pushed");
            let output = host_command("sh").args(["-c", &line]).output().expect("run a shell");
            let said = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
            assert!(output.status.success(), "{said}");
            said
        };
        assert!(push().contains("2 created"));
        assert!(push().contains("2 unchanged"));
        fs::remove_file(format!("{dir}/Norway_Oslo_no-1.conf")).unwrap();
        assert!(push().contains("1 withdrawn"));
        let malmo = gateways(&agent).into_iter().find(|it| it.name == "se-1").unwrap();
        assert_eq!((malmo.country.as_str(), malmo.city.as_str()), ("Sweden", "Malmö"));
    });
}

//! Callers over TCP, with the real agent.

use std::ffi::OsStr;
use std::fs;
use std::path::Path;
use std::process::Output;
use std::time::Duration;

use egress_core::api::{GatewayList, NetnsRef, PushReport, SessionView};
use nix::sys::signal::Signal;
use serde_json::json;

use crate::harness::agent::{Agent, PROGRAM};
use crate::harness::authority::Usage;
use crate::harness::container::Container;
use crate::harness::elsewhere::{ADDRESS, DIR, exchange, settings};
use crate::harness::lab::in_lab;
use crate::harness::namespace::host_command;
use crate::harness::push::{PROVIDER, make_provider, snapshot};
use crate::harness::wait;
use crate::harness::wireguard_peer::Program;
use crate::harness::world::{GROUP, World};

const SOON: Duration = Duration::from_secs(20);

/// Calls the agent with a certificate.
fn call(certificate: &str, arguments: &[impl AsRef<OsStr>]) -> Output {
    let mut command = host_command(env!("CARGO_BIN_EXE_egressctl"));
    command.arg(format!("--url=https://{ADDRESS}"));
    command.arg(format!("--cert={DIR}/{certificate}.pem"));
    command.arg(format!("--key={DIR}/{certificate}.key"));
    command.arg(format!("--ca={DIR}/ca.pem")).args(["--output", "json"]);
    command.args(arguments).output().expect("run egressctl")
}

#[track_caller]
fn done(certificate: &str, arguments: &[impl AsRef<OsStr>]) -> String {
    let output = call(certificate, arguments);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    String::from_utf8(output.stdout).expect("egressctl speaks UTF-8")
}

/// Both what it said and what it complained about.
#[track_caller]
fn refused(certificate: &str, arguments: &[impl AsRef<OsStr>]) -> String {
    let output = call(certificate, arguments);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned()
}

#[test]
fn a_launcher_elsewhere_attaches_by_path_and_never_by_process() {
    in_lab(|lab| {
        let world = World::with(lab, 1, Program::WireguardGo, &settings());
        let container = Container::with_process("box");
        let path = container.namespace().path();
        let NetnsRef::Pid(pid) = container.by_pid() else { panic!("it is named by its process") };
        let attach = |by: &str, what: &str| {
            let user = ["--user", "ann@example.org", "--group", GROUP];
            let words = [&["attach", "box", "--gateway", "lab/gw0", by, what], &user[..]];
            words.concat().into_iter().map(str::to_owned).collect::<Vec<_>>()
        };
        let said = refused("launcher", &attach("--pid", &pid.to_string()));
        assert!(said.contains("netns_invalid") && said.contains("by its path"), "{said}");
        let said = done("launcher", &attach("--netns", path.to_str().unwrap()));
        let session: SessionView = serde_json::from_str(&said).unwrap();
        assert!(session.addresses.iter().any(|it| it.addr() == world.clients[0].v4), "{said}");

        let said = refused("ops", &["detach", "box"]);
        assert!(said.contains("forbidden") && said.contains("certificate cn:ops"), "{said}");
        done("launcher", &["detach", "box"]);
        let log = world.agent.log();
        for (who, call, status) in
            [("launcher", "attach", 201), ("ops", "detach", 403), ("launcher", "detach", 200)]
        {
            let told = log.lines().any(|line| {
                line.contains("\"target\":\"audit\"")
                    && line.contains(&format!("\"call\":\"{call}\""))
                    && line.contains(&format!("\"certificate\":\"cn:{who}\""))
                    && line.contains(&format!("\"status\":{status}"))
            });
            assert!(told, "{who} {call} {status} is not in the audit log");
        }
    });
}

#[test]
fn a_plugin_elsewhere_pushes_to_its_own_provider_and_does_nothing_else() {
    in_lab(|lab| {
        let own = "[roles.plugin]\nproviders = [\"pushed\"]\n";
        let agent = Agent::start_with(lab, &settings().replace("[roles.plugin]\n", own));
        make_provider(&agent);
        let other = "00000000-0000-7000-8000-0000000003fe";
        agent.apply(&json!({"provider": [
            {"id": other, "name": "other", "type": "wireguard", "managed": true}]}));
        fs::write("/run/snapshot.json", snapshot(1, 3)).unwrap();
        let push = |provider| ["plugin", "push", "/run/snapshot.json", "--provider", provider];
        let report: PushReport = serde_json::from_str(&done("plugin", &push(PROVIDER))).unwrap();
        assert_eq!(report.gateways.created, ["x-0", "x-1", "x-2"]);
        assert!(done("plugin", &["provider", "show", PROVIDER]).contains("\"pushed\""));
        let not_its_own: [&[&str]; 4] = [
            &push(other),
            &["provider", "show", other],
            &["sessions"],
            &["gateway", "delete", PROVIDER],
        ];
        for arguments in not_its_own {
            let said = refused("plugin", arguments);
            assert!(said.contains("forbidden"), "{arguments:?}: {said}");
        }
        // Nor does anybody else push for it, but an admin.
        assert!(refused("launcher", &push(PROVIDER)).contains("forbidden"));
        let audited = |line: &&str| {
            line.contains(r#""target":"audit""#)
                && line.contains(r#""certificate":"cn:plugin""#)
                && line.contains(r#""code":"forbidden""#)
        };
        assert_eq!(agent.log().lines().filter(audited).count(), not_its_own.len());
        let gateways: GatewayList = agent.ask("GET", "/v1/gateways", "").json();
        assert_eq!(gateways.gateways.len(), 3);
    });
}

#[test]
fn certificates_are_exchanged_on_sighup_and_the_agent_goes_on() {
    in_lab(|lab| {
        let world = World::with(lab, 1, Program::WireguardGo, &settings());
        let pid = world.agent.pid();
        done("ops", &["sessions"]);
        let authority = exchange();
        authority.issue(Usage::Client, "ops").write(Path::new(DIR), "ops");
        world.agent.signal(Signal::SIGHUP);
        wait::until("the new certificates are used", SOON, || {
            call("ops", &["sessions"]).status.success()
        });
        // The authority that signed it is not asked any more.
        assert!(!call("launcher", &["sessions"]).status.success());

        fs::write(format!("{DIR}/agent.pem"), "garbage").unwrap();
        world.agent.signal(Signal::SIGHUP);
        wait::until("the fault is counted", SOON, || {
            world.agent.counts("egress_tls_files_rejected", &[], 1)
        });
        assert!(world.agent.log().contains("those before stay in use"));
        done("ops", &["sessions"]);
        assert!(
            world.agent.metric("egress_tls_refused_connections_total", &["certificate"]) >= 1.0
        );
        assert_eq!(world.agent.pid(), pid);
    });
}

#[test]
fn a_check_finds_every_fault_of_the_certificates_files() {
    in_lab(|_| {
        let of_root = "[api]\ngroup = \"0\"\n".to_owned();
        fs::write("/run/agent.toml", of_root + &settings()).unwrap();
        let check = || {
            let mut command = host_command(PROGRAM);
            let output = command.args(["--config", "/run/agent.toml", "--check"]).output().unwrap();
            (output.status.success(), String::from_utf8(output.stderr).unwrap())
        };
        assert_eq!(check(), (true, String::new()));
        fs::write(format!("{DIR}/agent.pem"), "garbage").unwrap();
        fs::write(format!("{DIR}/agent.key"), "garbage").unwrap();
        fs::write(format!("{DIR}/ca.pem"), "").unwrap();
        let (passed, told) = check();
        assert!(!passed);
        for setting in ["certificate_file", "key_file", "client_ca_file"] {
            assert!(told.contains(&format!("api.tls.{setting}: {DIR}/")), "{told}");
        }
    });
}

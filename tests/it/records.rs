//! Records created, read, changed and deleted one by one, and what that does to sessions.

use std::thread;
use std::time::Duration;

use egress_core::api::{
    Code, ConnectionList, CredentialRecord, GatewayRecord, MappingRecord, Problem, ProviderRecord,
    Removed, SessionState, SessionView, WorkspaceRecord, Written,
};
use egress_core::fault::Severity;
use egress_core::id::{CredentialId, SessionId};
use serde_json::{Value, json};

use crate::harness::agent::Agent;
use crate::harness::container::Container;
use crate::harness::http::Reply;
use crate::harness::keys::KeyPair;
use crate::harness::lab::{SERVER_V4, in_lab};
use crate::harness::probe;
use crate::harness::wait;
use crate::harness::wireguard_peer::WireguardPeer;
use crate::harness::world::{GROUP, World, gateway_config, gateway_id, request, session_id};

/// Makes a record, and gives its path and what it is.
#[track_caller]
fn made(agent: &Agent<'_>, kind: &str, fields: &Value) -> (String, Value) {
    let reply = agent.ask("POST", &format!("/v1/{kind}"), &fields.to_string());
    assert_eq!(reply.status, 201, "{}", reply.body);
    let written: Written<Value> = reply.json();
    let place = reply.head.lines().find_map(|line| line.strip_prefix("location: "));
    (place.expect("a made record has a place").to_owned(), written.record)
}

#[track_caller]
fn patched(agent: &Agent<'_>, target: &str, patch: &Value) -> Written<Value> {
    let reply = agent.ask_if("PATCH", target, "*", &patch.to_string());
    assert_eq!(reply.status, 200, "{}", reply.body);
    reply.json()
}

#[track_caller]
fn refused(reply: &Reply, status: u16, code: Code) -> Problem {
    assert_eq!(reply.status, status, "{}", reply.body);
    let problem: Problem = reply.json();
    assert_eq!(problem.code, code, "{}", problem.detail);
    problem
}

fn gateway_path() -> String {
    format!("/v1/gateways/{}", gateway_id(0))
}

fn credential_path(session: &SessionView) -> String {
    format!("/v1/credentials/{}", session.credential_id.expect("a session has a credential"))
}

#[test]
fn records_of_every_kind_live_through_the_api_and_a_restart() {
    in_lab(|lab| {
        let mut agent = Agent::start(lab);
        let key = KeyPair::random();
        let (provider, _) =
            made(&agent, "providers", &json!({"name": "nordic", "type": "wireguard"}));
        let config = format!(
            "[Interface]\nPrivateKey = {}\nAddress = 10.0.0.2\n[Peer]\nPublicKey = {}\n\
             PresharedKey = {}\nEndpoint = 198.51.100.1:51820\nAllowedIPs = 0.0.0.0/0\n",
            key.private, key.public, key.private,
        );
        let fields = json!({"provider": "nordic", "name": "se-1", "config": config});
        let (gateway, gateway_record) = made(&agent, "gateways", &fields);
        let listed = json!([gateway_record["id"]]);
        let fields = json!({"provider": "nordic", "group": "staff", "gateways": listed});
        let (mapping, mapping_record) = made(&agent, "mappings", &fields);
        assert_eq!(
            (&mapping_record["group"], &mapping_record["gateways"]),
            (&json!("staff"), &listed)
        );
        let fields = json!({
            "provider": "nordic", "name": "ann", "user": "ann", "private_key": key.private,
            "active_connection_limit": 2,
        });
        let (credential, _) = made(&agent, "credentials", &fields);
        let (workspace, _) = made(&agent, "workspaces", &json!({"name": "fire fox/ü"}));
        assert_eq!(workspace, "/v1/workspaces/fire%20fox%2F%C3%BC");
        let twice = agent.ask("POST", "/v1/workspaces", r#"{"name": "fire fox/ü"}"#);
        refused(&twice, 409, Code::RecordExists);

        patched(&agent, &gateway, &json!({"city": "Malmö"}));
        patched(&agent, &credential, &json!({"active_connection_limit": 5}));
        let late = agent.ask_if("PATCH", &credential, "\"1\"", r#"{"enabled": false}"#);
        refused(&late, 412, Code::PreconditionFailed);
        let wrong =
            agent.ask_if("PATCH", &credential, "\"2\"", r#"{"active_connection_limit": 0}"#);
        let problem = refused(&wrong, 400, Code::InvalidRequest);
        assert_eq!(problem.faults[0].field.as_deref(), Some("active_connection_limit"));
        let broken = json!({"config": config.replace("198.51.100.1:51820", "nowhere")});
        let broken = agent.ask_if("PATCH", &gateway, "*", &broken.to_string());
        let found = refused(&broken, 400, Code::InvalidRequest).faults;
        let fault = found.iter().find(|finding| finding.severity == Severity::Fault).unwrap();
        assert_eq!((fault.field.as_deref(), fault.line), (Some("config.Peer.Endpoint"), Some(7)));

        agent.kill_control();
        agent.start_again();
        let read = |path: &str| {
            let reply = agent.ask("GET", path, "");
            assert_eq!(reply.status, 200, "{path}: {}", reply.body);
            for field in ["private_key", "config\"", "PresharedKey"] {
                assert!(!reply.body.contains(field), "{path} shows {field}: {}", reply.body);
            }
            assert!(!reply.body.contains(&key.private), "{path} shows a key: {}", reply.body);
            reply
        };
        assert_eq!(read(&provider).json::<ProviderRecord>().name, "nordic");
        assert_eq!(read(&gateway).json::<GatewayRecord>().city, "Malmö");
        assert_eq!(read(&mapping).json::<MappingRecord>().version, 1);
        let limit = read(&credential).json::<CredentialRecord>().active_connection_limit;
        assert_eq!(limit, Some(5));
        assert_eq!(read(&workspace).json::<WorkspaceRecord>().name, "fire fox/ü");

        let needed = agent.ask_if("DELETE", &gateway, "*", "");
        let problem = refused(&needed, 409, Code::RecordNeeded);
        assert_eq!(problem.faults[0].message, "mapping nordic group:staff lists it");
        let gone = agent.ask_if("DELETE", &format!("{provider}?cascade=true"), "\"1\"", "");
        assert_eq!(gone.json::<Removed>().removed.len(), 4);
        assert_eq!(agent.ask_if("DELETE", &workspace, "*", "").status, 200);
        for path in [provider, gateway, mapping, credential, workspace] {
            refused(&agent.ask("GET", &path, ""), 404, Code::NoSuchRecord);
        }
        let log = agent.log();
        assert!(log.contains("create_credential") && log.contains("delete_provider"));
        assert!(!log.contains(&key.private), "a key was logged");
    });
}

#[test]
fn a_disabled_gateway_drains_until_its_sessions_are_cut() {
    in_lab(|lab| {
        let world = World::new(lab, 2);
        let agent = &world.agent;
        let (container, _) = world.attached("c-1");
        let id = session_id("c-1");
        let off = json!({"enabled": false});
        let drained = patched(agent, &gateway_path(), &off);
        assert_eq!(drained.sessions.draining, std::slice::from_ref(&id));
        container.wait_for_traffic(Duration::from_secs(1));
        let second = Container::with_process("c-2");
        let refusal = agent.attach(&request("c-2", second.by_path(), 0)).unwrap_err();
        assert_eq!(refusal.code, Code::NotOffered);
        assert_eq!(agent.session(&id).unwrap().state, SessionState::Connected);

        let cut = patched(agent, &format!("{}?sessions=cut", gateway_path()), &off);
        assert_eq!(cut.sessions.cut, std::slice::from_ref(&id));
        let session = agent.session(&id).unwrap();
        assert_eq!(session.state, SessionState::Blocked);
        let reason = session.reason.unwrap();
        assert_eq!((reason.code, reason.detail.as_str()), (Code::Cut, "it is disabled"));
        assert_eq!(agent.live_connections(), 0);
        assert!(!container.has_traffic(Duration::from_secs(1)), "a cut session has a way out");

        patched(agent, &gateway_path(), &json!({"enabled": null}));
        let again = agent.attach(&request("c-1", container.by_path(), 0)).unwrap();
        assert_eq!(again.state, SessionState::Connected);
        container.wait_for_traffic(Duration::from_secs(5));
    });
}

#[test]
fn deleted_records_leave_their_session_running_or_take_it_along() {
    in_lab(|lab| {
        let world = World::new(lab, 2);
        let agent = &world.agent;
        let (first, session) = world.attached("c-1");
        let (second, _) = world.attached("c-2");
        let gone = agent.ask_if("DELETE", &credential_path(&session), "*", "");
        let gone: Removed = gone.json();
        assert_eq!(gone.sessions.draining, [session_id("c-1")]);
        first.wait_for_traffic(Duration::from_secs(1));
        assert!(agent.session(&session_id("c-1")).unwrap().stale_credential);
        assert!(!agent.session(&session_id("c-2")).unwrap().stale_credential);

        let provider = session.gateway.expect("it has a gateway").provider_id;
        let target = format!("/v1/providers/{provider}?cascade=true&sessions=cut");
        let gone: Removed = agent.ask_if("DELETE", &target, "*", "").json();
        assert_eq!(gone.removed.len(), 4, "{:?}", gone.removed);
        assert_eq!(gone.sessions.cut, [session_id("c-1"), session_id("c-2")]);
        assert_eq!(agent.live_connections(), 0);
        for container in [first, second] {
            assert!(!container.has_traffic(Duration::from_secs(1)), "a cut session has a way out");
        }
        for id in ["c-1", "c-2"] {
            agent.detach(&session_id(id), false);
        }
        agent.wait_until_idle();
    });
}

#[test]
fn a_rotated_secret_is_stale_in_use_and_new_at_the_next_attach() {
    in_lab(|lab| {
        let mut world = World::new(lab, 2);
        let (container, session) = world.attached("c-1");
        let id = session_id("c-1");
        let used = session.credential_id.unwrap().to_string();
        // The far end knows two keys: the session's and the one that takes its place.
        let other = usize::from(used.ends_with("00"));
        let fresh = &world.clients[other];
        let list = world.agent.ask("GET", "/v1/credentials", "").json::<Value>();
        for record in list["credentials"].as_array().unwrap() {
            let record_id = record["id"].as_str().unwrap();
            if record_id != used {
                world.agent.ask_if("DELETE", &format!("/v1/credentials/{record_id}"), "*", "");
            }
        }
        let path = credential_path(&session);
        let renamed = patched(&world.agent, &path, &json!({"name": "renamed"}));
        assert!(renamed.sessions.draining.is_empty());
        assert!(!world.agent.session(&id).unwrap().stale_credential);
        let new = json!({
            "private_key": fresh.keys.private, "address": [format!("{}/32", fresh.v4)],
        });
        let rotated = patched(&world.agent, &path, &new);
        assert_eq!(rotated.sessions.draining, std::slice::from_ref(&id));
        assert!(world.agent.session(&id).unwrap().stale_credential);
        container.wait_for_traffic(Duration::from_secs(1));

        world.agent.kill_control();
        world.agent.start_again();
        assert!(world.agent.session(&id).unwrap().stale_credential, "forgotten by a restart");
        container.wait_for_traffic(Duration::from_secs(5));
        let found = world.agent.attach(&request("c-1", container.by_path(), 0)).unwrap();
        assert!(found.stale_credential, "an attach that finds the session hides it");

        world.agent.detach(&id, false);
        let session = world.agent.attach(&request("c-1", container.by_path(), 0)).unwrap();
        assert!(!session.stale_credential);
        assert_eq!(session.addresses, [format!("{}/32", world.clients[other].v4).parse().unwrap()]);
        container.wait_for_traffic(Duration::from_secs(5));
    });
}

#[test]
fn a_gateway_that_went_silent_is_met_again_as_the_catalog_has_it_now() {
    in_lab(|lab| {
        let mut world = World::new(lab, 1);
        let (container, _) = world.attached("c-1");
        let id = session_id("c-1");
        // Another server in its place: the session's keys are worth nothing there.
        world.peer.stop();
        let other = WireguardPeer::start(&world.gateway, &world.clients);
        let config = gateway_config(&other, &other.endpoint(1).to_string());
        let changed = patched(&world.agent, &gateway_path(), &json!({ "config": config }));
        assert_eq!(changed.sessions.draining, std::slice::from_ref(&id));
        container.wait_for_traffic(Duration::from_secs(40));
        world.agent.wait_for_state(&id, SessionState::Connected, Duration::from_secs(5));
        assert_eq!(world.agent.live_connections(), 1);
        world.agent.detach(&id, false);
        world.agent.wait_until_idle();
    });
}

#[test]
fn a_session_that_changes_its_credential_is_on_the_one_it_has_a_lease_of_after_a_kill_too() {
    in_lab(|lab| {
        let mut world = World::new(lab, 2);
        let (_other, other) = world.attached("c-1");
        let (container, _) = world.attached("c-2");
        world.agent.detach(&session_id("c-1"), false);
        let (id, freed) = (session_id("c-2"), other.credential_id);
        // Its gateway goes where nobody answers; what was free before it is free now.
        world.peer.stop();
        let config = gateway_config(&world.peer, &format!("{}:9", world.gateway.v4(1)));
        patched(&world.agent, &gateway_path(), &json!({ "config": config }));
        wait::until("it has another lease", Duration::from_secs(40), || {
            let _ = container.run(|| probe::ping(SERVER_V4.into(), Duration::from_millis(200)));
            lease(&world.agent, &id) == freed
        });
        wait::until("it is on what it has a lease of", Duration::from_secs(5), || {
            world.agent.session(&id).unwrap().credential_id == freed
        });
        world.agent.kill_control();
        world.agent.start_again();
        assert_eq!(world.agent.session(&id).unwrap().credential_id, freed);
        assert_eq!(lease(&world.agent, &id), freed);
    });
}

/// The credential of which a session has the lease.
fn lease(agent: &Agent<'_>, id: &SessionId) -> Option<CredentialId> {
    let list: ConnectionList = agent.ask("GET", "/v1/connections", "").json();
    let held = list.connections.into_iter().find(|held| held.sessions.contains(id));
    held.map(|held| held.credential_id)
}

#[test]
fn an_attach_under_way_is_cut_too() {
    in_lab(|lab| {
        let world = World::new(lab, 0);
        let agent = &world.agent;
        let (path, _) = made(
            agent,
            "credentials",
            &json!({
                "provider": "lab", "name": "stranger", "group": GROUP, "address": "10.99.0.2",
                "private_key": KeyPair::random().private,
            }),
        );
        let container = Container::with_process("c-1");
        let asked = request("c-1", container.by_path(), 0);
        thread::scope(|scope| {
            // The far end does not know the key: the attach holds a lease and waits.
            let attach = scope.spawn(|| agent.attach(&asked));
            wait::until("the lease is held", Duration::from_secs(20), || {
                agent.live_connections() == 1
            });
            let gone = agent.ask_if("DELETE", &format!("{path}?sessions=cut"), "*", "");
            assert_eq!(gone.json::<Removed>().sessions.cut, [session_id("c-1")]);
            let problem = attach.join().unwrap().unwrap_err();
            assert_eq!((problem.code, problem.status), (Code::Cut, 409));
        });
        assert_eq!(agent.live_connections(), 0);
    });
}

#[test]
fn an_apply_cuts_what_it_prunes_and_a_dry_run_only_says_so() {
    in_lab(|lab| {
        let world = World::new(lab, 1);
        let agent = &world.agent;
        let (container, _) = world.attached("c-1");
        let prune = |query: &str| {
            let reply = agent.ask("POST", &format!("/v1/catalog:apply?prune=1&{query}"), "{}");
            assert_eq!(reply.status, 200, "{}", reply.body);
            reply.json::<egress_core::api::ApplyReport>().sessions
        };
        let foretold = prune("sessions=cut&dry_run=1");
        assert_eq!(foretold.cut, [session_id("c-1")]);
        container.wait_for_traffic(Duration::from_secs(1));
        assert_eq!(prune("sessions=cut").cut, [session_id("c-1")]);
        assert_eq!(agent.session(&session_id("c-1")).unwrap().state, SessionState::Blocked);
        assert!(!container.has_traffic(Duration::from_secs(1)), "a cut session has a way out");
    });
}

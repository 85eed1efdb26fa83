//! What a gateway refuses is told with its code within the deadline, and not tried again by itself.

use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use egress_core::api::{Code, Problem, SessionState};
use serde_json::json;

use crate::harness::container::Container;
use crate::harness::lab::in_lab;
use crate::harness::openvpn_pki::{Age, Authority, shared_key};
use crate::harness::openvpn_server::{Options, PASSWORD, Proof, SERVER_NAME, Wrap, challenged};
use crate::harness::openvpn_world::{OpenvpnWorld, credential};
use crate::harness::world::{request, session_id};

/// Longer than the first waits between tries that go on.
const PATIENCE: Duration = Duration::from_secs(4);

/// Attaches, and gives the refusal, which comes within the deadline and leaves the session blocked.
#[track_caller]
#[allow(clippy::print_stdout, reason = "how long a refusal took is shown")]
fn refused(world: &OpenvpnWorld<'_>, container: &Container) -> Problem {
    let mut asked = request("c-1", container.by_path(), 0);
    asked.deadline_ms = 12_000;
    let started = Instant::now();
    let problem = world.agent.attach(&asked).unwrap_err();
    println!("{:?} after {:?}: {}", problem.code, started.elapsed(), problem.detail);
    let deadline = Duration::from_millis(asked.deadline_ms);
    assert!(started.elapsed() < deadline, "late: {problem:?}");
    let session = world.agent.session(&session_id("c-1")).unwrap();
    assert_eq!(session.state, SessionState::Blocked);
    assert_eq!(session.reason.unwrap().code, problem.code);
    assert!(world.openvpn_pids().is_empty());
    assert_eq!(container.devices(), ["lo"]);
    problem
}

/// A server that says these words to a user whom it does not let in.
fn saying(words: &str) -> Options {
    let proof = Proof::Password(PASSWORD.to_owned(), Some(words.to_owned()));
    Options { proof, ..Options::default() }
}

#[test]
fn a_wrong_password_is_tried_once_and_the_credential_marked() {
    in_lab(|lab| {
        let world = OpenvpnWorld::with(lab, saying("no such subscription"));
        world.apply(&world.server.profile(), &[credential(0, "wrong")]);
        let container = Container::with_process("c-1");
        let problem = refused(&world, &container);
        assert_eq!(problem.code, Code::AuthFailed);
        assert!(problem.detail.contains("no such subscription"), "{}", problem.detail);
        thread::sleep(PATIENCE);
        assert_eq!(world.server.refusals(), 1, "{}", world.server.said());
        assert_eq!(world.agent.live_connections(), 0);
        let credentials = world.agent.ask("GET", "/v1/credentials", "").body;
        assert!(credentials.contains(r#""refused":{"code":"auth_failed""#), "{credentials}");

        // Another credential comes first now, although its number is higher.
        world.apply(&world.server.profile(), &[credential(1, PASSWORD)]);
        let session = world.agent.attach(&request("c-1", container.by_path(), 0)).unwrap();
        let second = session.credential_id.expect("a credential is used").to_string();
        assert!(second.ends_with("0301"), "{second}");
        assert_eq!(world.server.refusals(), 1);
    });
}

#[test]
fn a_password_that_is_changed_at_the_server_blocks_the_session_at_its_next_login() {
    in_lab(|lab| {
        let mut world = OpenvpnWorld::new(lab);
        let (container, _) = world.attached("c-1");
        world.server.set_proof(Proof::Password("another".to_owned(), None));
        // Who changes it does so in the catalog too: the refusal is the former password's alone.
        world.apply(&world.server.profile(), &[credential(0, "another")]);
        world.server.restart();
        let id = session_id("c-1");
        world.agent.wait_for_state(&id, SessionState::Blocked, Duration::from_secs(30));
        assert_eq!(world.agent.session(&id).unwrap().reason.unwrap().code, Code::AuthFailed);
        thread::sleep(PATIENCE);
        assert_eq!(world.server.refusals(), 1);
        assert_eq!(container.devices(), ["lo"]);
        let credentials = world.agent.ask("GET", "/v1/credentials", "").body;
        assert!(!credentials.contains("refused"), "{credentials}");
        world.agent.attach(&request("c-1", container.by_path(), 0)).unwrap();
    });
}

#[test]
fn a_server_that_does_not_prove_itself_is_a_failure_of_tls() {
    in_lab(|lab| {
        let mut world = OpenvpnWorld::new(lab);
        let name = format!("verify-x509-name {SERVER_NAME} name\n");
        let profile = world.server.profile_with(&world.server.remote(), &name);
        world.apply(&profile, &[credential(0, PASSWORD)]);
        let container = Container::with_process("c-1");
        let expired = world.server.authority().server(SERVER_NAME, Age::Expired);
        let misnamed = world.server.authority().server("somebody.else.example", Age::Good);
        let foreign = Authority::new("another authority").server(SERVER_NAME, Age::Good);
        for (case, identity) in [
            ("an expired certificate", expired),
            ("a wrong name", misnamed),
            ("another authority's", foreign),
        ] {
            world.server.set_identity(identity);
            world.server.restart();
            assert_eq!(refused(&world, &container).code, Code::TlsFailed, "{case}");
        }
    });
}

#[test]
fn a_clients_certificate_that_cannot_do_is_told_as_the_cause() {
    in_lab(|lab| {
        let options = Options { proof: Proof::Certificate(Age::Expired), ..Options::default() };
        let world = OpenvpnWorld::with(lab, options);
        let container = Container::with_process("c-1");
        let ended = refused(&world, &container);
        assert_eq!(ended.code, Code::TlsFailed);
        assert!(ended.detail.contains("the client's certificate ended on "), "{ended:?}");

        let right = world.server.authority().client("client", Age::Good);
        let other = world.server.authority().client("another", Age::Good);
        let (before, _) = world
            .server
            .profile()
            .split_once("<cert>")
            .map(|(before, after)| (before.to_owned(), after.to_owned()))
            .expect("there is a certificate");
        let (certificate, key) = (right.certificate, other.key);
        let mixed = format!("{before}<cert>\n{certificate}</cert>\n<key>\n{key}</key>\n");
        world.apply(&mixed, &[credential(0, PASSWORD)]);
        let mismatch = refused(&world, &container);
        assert_eq!(mismatch.code, Code::TlsFailed);
        assert!(mismatch.detail.contains("the private key does not belong"), "{mismatch:?}");
    });
}

#[test]
fn what_openvpn_does_not_take_of_its_server_is_told_as_that() {
    in_lab(|lab| {
        let more = "push \"compress lz4\"\n".to_owned();
        let world = OpenvpnWorld::with(lab, Options { more, ..Options::default() });
        let problem = refused(&world, &Container::with_process("c-1"));
        assert_eq!(problem.code, Code::PushRefused, "{problem:?}");
        assert!(problem.detail.contains("compression"), "{problem:?}");
    });
}

#[test]
fn a_gateway_that_is_not_there_is_unreachable_and_a_name_without_address_unresolved() {
    in_lab(|lab| {
        let mut world = OpenvpnWorld::new(lab);
        let container = Container::with_process("c-1");
        world.server.kill();
        assert_eq!(refused(&world, &container).code, Code::EndpointUnreachable);
        let profile = world.server.profile_with("remote nowhere.vpn.example 1194 udp\n", "");
        world.apply(&profile, &[credential(0, PASSWORD)]);
        assert_eq!(refused(&world, &container).code, Code::EndpointUnresolved);
    });
}

#[test]
fn a_question_is_answered_by_the_attach_or_blocks_it() {
    in_lab(|lab| {
        let proof = Proof::Password(challenged("424242"), None);
        let world = OpenvpnWorld::with(lab, Options { proof, ..Options::default() });
        let question = "static-challenge \"Code of your token?\" 1\n";
        let profile = world.server.profile_with(&world.server.remote(), question);
        world.apply(&profile, &[credential(0, PASSWORD)]);
        let container = Container::with_process("c-1");
        let problem = refused(&world, &container);
        assert_eq!((problem.code, problem.status), (Code::ChallengeRequired, 422));
        assert_eq!(world.server.refusals(), 0, "the server was not asked in vain");

        let mut body = serde_json::to_value(request("c-1", container.by_path(), 0)).unwrap();
        body["challenge_response"] = json!("424242");
        let reply = world.agent.ask("POST", "/v1/sessions", &body.to_string());
        assert_eq!(reply.status, 201, "{}", reply.body);
        assert!(!reply.body.contains("424242") && !world.agent.log().contains("424242"));
    });
}

#[test]
fn a_question_that_a_server_asks_at_the_login_is_told() {
    in_lab(|lab| {
        let words = "CRV1:R,E:c3RhdGU=:YW5u:Please enter the code";
        let world = OpenvpnWorld::with(lab, saying(words));
        world.apply(&world.server.profile(), &[credential(0, "wrong")]);
        let problem = refused(&world, &Container::with_process("c-1"));
        assert_eq!(problem.code, Code::ChallengeRequired);
        assert!(problem.detail.contains("Please enter the code"), "{}", problem.detail);
    });
}

#[test]
fn a_wrong_key_of_the_control_channel_is_told_within_the_deadline() {
    in_lab(|lab| {
        let options = Options { wrap: Wrap::Crypt, ..Options::default() };
        let world = OpenvpnWorld::with(lab, options);
        let right = world.server.profile();
        let (before, key) = right.split_once("<tls-crypt>\n").expect("there is a key");
        let (_, after) = key.split_once("</tls-crypt>").expect("it ends");
        let other = shared_key("secret", Path::new("/run/other.key"));
        let wrong = format!("{before}<tls-crypt>\n{other}</tls-crypt>{after}");
        world.apply(&wrong, &[credential(0, PASSWORD)]);
        let problem = refused(&world, &Container::with_process("c-1"));
        // The server drops such packets without a word.
        assert!(matches!(problem.code, Code::EndpointUnreachable | Code::TlsFailed), "{problem:?}");

        world.apply(&right, &[credential(0, PASSWORD)]);
        let second = Container::with_process("c-2");
        world.agent.attach(&request("c-2", second.by_path(), 0)).unwrap();
    });
}

#[test]
fn an_openvpn_that_is_not_installed_is_told_at_the_attach() {
    in_lab(|lab| {
        let config = "[openvpn]\nbinary = \"/run/no-such-openvpn\"\n";
        let world = OpenvpnWorld::with_config(lab, Options::default(), config);
        let problem = refused(&world, &Container::with_process("c-1"));
        assert_eq!((problem.code, problem.status), (Code::OpenvpnMissing, 503));
    });
}

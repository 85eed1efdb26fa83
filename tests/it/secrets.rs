//! Secrets appear in nothing that the agent writes, says or shows.

use std::fs;
use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;

use crate::harness::agent::{Agent, RUN_DIR, STATE_DIR};
use crate::harness::container::Container;
use crate::harness::keys::{KeyPair, random_bytes};
use crate::harness::lab::in_lab;
use crate::harness::openvpn_server::{Options, PASSWORD, Proof, Wrap, challenged};
use crate::harness::openvpn_world::{OpenvpnWorld, credential};
use crate::harness::world::{GROUP, World, gateway_config, gateway_id, request, session_id};

/// A secret, as it might show up: its base64, its bytes, its hexadecimal digits.
struct Secret {
    name: &'static str,
    forms: Vec<Vec<u8>>,
}

impl Secret {
    fn base64(name: &'static str, text: &str) -> Self {
        let bytes = STANDARD.decode(text).expect("keys are base64");
        let digits: Vec<_> = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        let hex = digits.concat();
        // Without padding also inside longer texts.
        let bare = text.trim_end_matches('=').as_bytes().to_vec();
        Self { name, forms: vec![bare, hex.to_uppercase().into(), hex.into(), bytes] }
    }

    fn text(name: &'static str, text: &str) -> Self {
        Self { name, forms: vec![text.as_bytes().to_vec()] }
    }

    fn is_in(&self, haystack: &[u8]) -> bool {
        let found = |form: &Vec<u8>| haystack.windows(form.len()).any(|window| window == form);
        self.forms.iter().any(found)
    }
}

fn files_under(dir: &Path, all: &mut Vec<(String, Vec<u8>)>) {
    for entry in fs::read_dir(dir).expect("read a directory of the agent").flatten() {
        let kind = entry.file_type().expect("a file has a type");
        if kind.is_dir() {
            files_under(&entry.path(), all);
        } else if kind.is_file() {
            let bytes = fs::read(entry.path()).expect("root reads everything");
            all.push((entry.path().display().to_string(), bytes));
        }
    }
}

fn processes(agent: &Agent<'_>, more: &[i32], all: &mut Vec<(String, Vec<u8>)>) {
    let dataplane = agent.dataplane_pid().expect("a data plane runs");
    for pid in [agent.pid(), dataplane].iter().chain(more) {
        for file in ["cmdline", "environ", "comm"] {
            let path = format!("/proc/{pid}/{file}");
            all.push((path.clone(), fs::read(&path).expect("root reads everything")));
        }
    }
}

fn replies(agent: &Agent<'_>, all: &mut Vec<(String, Vec<u8>)>) {
    for path in [
        "sessions",
        "sessions/c-1",
        "offers?groups=All%20Users&explain=1",
        "connections",
        "providers",
        "gateways",
        "mappings",
        "credentials",
        "workspaces",
        "openapi.json",
    ] {
        let reply = agent.ask("GET", &format!("/v1/{path}"), "");
        assert_eq!(reply.status, 200, "{path}: {}", reply.body);
        all.push((format!("reply to {path}"), (reply.head + &reply.body).into_bytes()));
    }
    all.push(("metrics".to_owned(), agent.metrics().into_bytes()));
}

/// Requests that are refused with a secret in them.
fn refusals(world: &World<'_>, key: &str, all: &mut Vec<(String, Vec<u8>)>) {
    let config = gateway_config(&world.peer, "bad endpoint");
    let config = config.replace("[Interface]\n", &format!("[Interface]\nPrivateKey = {key}\n"));
    let credential = |field: &str, value: &str| {
        json!({ "credential": [{
            "provider": "lab", "name": "bad", "group": GROUP, field: value, "limit": key,
        }] })
    };
    let bodies = [
        json!({ "gateway": [{ "provider": "lab", "name": "bad", "config": config }] }),
        credential("private_key", &format!("{key}x")),
        credential("preshared_key", &format!("{key}{key}")),
        json!({ "credential": [{ "provider": "lab", "private_key": [key] }] }),
        json!({ "credential": key }),
    ];
    for body in bodies {
        let reply = world.agent.ask("POST", "/v1/catalog:apply", &body.to_string());
        assert!(reply.status >= 400, "taken: {body}");
        all.push((format!("refusal of {body:.60}"), reply.body.into_bytes()));
    }
}

#[test]
fn canary_secrets_are_in_nothing_that_the_agent_writes_or_says() {
    in_lab(|lab| {
        let mut world =
            World::with(lab, 1, crate::harness::wireguard_peer::Program::WireguardGo, "");
        let own = KeyPair::random();
        let preshared = STANDARD.encode(random_bytes::<32>());
        let password = "canary-password-7f3a9c";
        // A config with a real key in it, a preshared key, a password of another provider's.
        let config = gateway_config(&world.peer, &world.peer.endpoint(1).to_string());
        let with_key = format!("[Interface]\nPrivateKey = {}\n", own.private);
        let config = config.replace("[Interface]\n", &with_key);
        world.agent.apply(&json!({
            "provider": [{ "name": "other", "type": "openvpn" }],
            "gateway": [
                { "id": gateway_id(0), "provider": "lab", "name": "gw0", "config": config },
                { "id": gateway_id(5), "provider": "lab", "name": "gw5",
                  "config": format!("{config}PresharedKey = {preshared}\n") },
            ],
            "credential": [{
                "provider": "other", "name": "login", "group": GROUP,
                "username": "ann", "password": password,
            }],
        }));
        let (container, _) = world.attached("c-1");
        container.wait_for_traffic(std::time::Duration::from_secs(5));
        let secrets = [
            Secret::base64("credential's key", &world.clients[0].keys.private),
            Secret::base64("config's key", &own.private),
            Secret::base64("preshared key", &preshared),
            Secret::text("password", password),
        ];

        let mut shown = Vec::new();
        replies(&world.agent, &mut shown);
        for secret in [&world.clients[0].keys.private, &own.private, &preshared] {
            refusals(&world, secret, &mut shown);
        }
        processes(&world.agent, &[], &mut shown);
        world.agent.kill_dataplane();
        container.wait_for_traffic(std::time::Duration::from_secs(5));
        world.agent.kill_control();
        world.agent.start_again();
        world.agent.detach(&session_id("c-1"), false);
        assert_hidden(&world.agent, &secrets, shown);
    });
}

/// None of the secrets is in what was shown, in a file or in the log.
fn assert_hidden(agent: &Agent<'_>, secrets: &[Secret], mut shown: Vec<(String, Vec<u8>)>) {
    files_under(Path::new(STATE_DIR), &mut shown);
    files_under(Path::new(RUN_DIR), &mut shown);
    shown.push(("log".to_owned(), agent.log().into_bytes()));
    assert!(shown.iter().any(|(name, _)| name.starts_with(STATE_DIR)), "no store was found");
    assert!(agent.log().contains("c-1"), "the log is empty");
    for (name, bytes) in &shown {
        for secret in secrets {
            assert!(!secret.is_in(bytes), "the {} is in {name}", secret.name);
        }
    }
}

#[test]
fn an_openvpn_sessions_secrets_are_in_nothing_that_the_agent_writes_or_says() {
    in_lab(|lab| {
        let answer = "canary-answer-51e0";
        let proof = Proof::Password(challenged(answer), None);
        let options = Options { wrap: Wrap::Crypt, proof, ..Options::default() };
        let mut world = OpenvpnWorld::with(lab, options);
        let login = "<auth-user-pass>\nbob\ncanary-login-9d77\n</auth-user-pass>";
        let challenge = "static-challenge \"Your code?\" 0\n";
        let profile = world.server.profile_with(&world.server.remote(), challenge);
        let profile = profile.replace("auth-user-pass\n", &format!("{login}\n"));
        let (_, key) = profile.split_once("key V1-----\n").expect("there is a key");
        let key = key.lines().next().expect("it has lines").to_owned();
        world.apply(&profile, &[credential(0, PASSWORD)]);
        let container = Container::with_process("c-1");
        let attach = |answer: &str, world: &OpenvpnWorld<'_>| {
            let mut body = serde_json::to_value(request("c-1", container.by_path(), 0)).unwrap();
            body["challenge_response"] = json!(answer);
            world.agent.ask("POST", "/v1/sessions", &body.to_string())
        };
        let reply = attach(answer, &world);
        assert_eq!(reply.status, 201, "{}", reply.body);
        container.wait_for_traffic(std::time::Duration::from_secs(5));
        let secrets = [
            Secret::text("password", PASSWORD),
            Secret::text("answer", answer),
            Secret::text("login of the text", "canary-login-9d77"),
            Secret::text("control channel's key", &key),
            Secret::text("wrong answer", "canary-wrong-3b1c"),
        ];

        let mut shown = vec![("reply".to_owned(), reply.body.into_bytes())];
        replies(&world.agent, &mut shown);
        let pids = world.openvpn_pids();
        assert_eq!(pids.len(), 1);
        processes(&world.agent, &pids, &mut shown);
        world.agent.kill_control();
        world.agent.start_again();
        world.agent.detach(&session_id("c-1"), false);
        let refusal = attach("canary-wrong-3b1c", &world);
        assert_eq!(refusal.status, 502, "{}", refusal.body);
        shown.push(("refusal".to_owned(), refusal.body.into_bytes()));
        assert_hidden(&world.agent, &secrets, shown);
    });
}

#[test]
fn the_search_for_secrets_finds_them_in_each_form() {
    let key = KeyPair::random().private;
    let secret = Secret::base64("key", &key);
    let bytes = STANDARD.decode(&key).unwrap();
    assert!(secret.is_in(format!("x{key}y").as_bytes()));
    assert!(secret.is_in(&[&[1, 2], bytes.as_slice()].concat()));
    assert!(!secret.is_in(KeyPair::random().private.as_bytes()));
}

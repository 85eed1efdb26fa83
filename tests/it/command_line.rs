//! `egressctl` against the real agent.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};

use crate::harness::agent::Agent;
use crate::harness::egressctl::{PROGRAM, egressctl, says};
use crate::harness::keys::KeyPair;
use crate::harness::lab::{SERVER_V4, in_lab};
use crate::harness::namespace::host_command;
use crate::harness::verdict::Canary;
use crate::harness::wait;
use crate::harness::world::{GROUP, World, gateway_id};

#[test]
fn a_checked_and_imported_file_is_a_way_out_for_a_command() {
    in_lab(|lab| {
        let world = World::new(lab, 1);
        let client = &world.clients[0];
        // The import makes the credential.
        world.agent.ask("POST", "/v1/catalog:apply?prune=true", "{}");
        let config = world.peer.config_for(client, &world.peer.endpoint(1).to_string());
        fs::write("/run/home.conf", config).unwrap();

        let checked = says(&["check", "/run/home.conf"], 0);
        let imported = says(&["import", "/run/home.conf", "--owner", "user:ann"], 0);
        let offers = says(&["offers", "--user", "ann"], 0);
        assert!(offers.contains("home"), "{offers}");
        let url = format!("http://{SERVER_V4}/");
        let run = ["exec", "-g", "home/home", "--user", "ann", "--", "curl", "-sS", &url];
        let page = says(&run, 0);
        assert_eq!(page.trim(), format!("{} gw0", client.v4));
        wait::until("the command's session is over", Duration::from_secs(5), || {
            world.agent.sessions().is_empty() && world.agent.live_connections() == 0
        });
        for said in [checked, imported, offers, world.agent.log()] {
            assert!(!said.contains(&client.keys.private), "the key was shown: {said}");
        }
    });
}

#[test]
fn a_command_has_its_own_exit_code_and_no_other_way_out() {
    in_lab(|lab| {
        let mut world = World::new(lab, 1);
        let group = ["--group", GROUP];
        let run = |command: &str| {
            let gateway = ["exec", "-g", "lab/gw0", "--group", GROUP, "--"];
            egressctl(&[&gateway[..], &[command]].concat()).status.code()
        };
        assert_eq!(run("/nowhere/there"), Some(127), "there is no such command");
        assert_eq!(run("/etc/passwd"), Some(126), "it is none");
        let exec = |command: &str| {
            let gateway = ["exec", "-g", "lab/gw0"];
            let command = ["--", "sh", "-c", command];
            egressctl(&[&gateway[..], &group, &command].concat()).status.code()
        };
        assert_eq!(exec("exit 7"), Some(7));
        let (sniffer, canary) = (lab.sniff(), Canary::random());
        for address in ["192.0.2.1", "203.0.113.1", "198.51.100.10"] {
            // By the tunnel or not at all: what it gets is not the question.
            exec(&format!("curl -sS -m 1 http://{address}/{}", canary.as_str()));
        }
        sniffer.assert_clean("a command runs", &world.allowed(), &canary);
        world.peer.stop();
        let refused = ["exec", "-g", "lab/gw0", "--deadline", "1", "--group", GROUP, "--", "true"];
        let said = says(&refused, 125);
        assert!(said.contains("handshake timeout"), "{said}");
    });
}

#[test]
fn a_broken_file_is_told_line_by_line_without_its_key() {
    in_lab(|_lab| {
        let key = KeyPair::random().private;
        let text = format!(
            "[Interface]\nPrivateKey = {key}\nMTU = big\nPostUp = id\n[Peer]\nPublicKey = {key}x\n"
        );
        fs::write("/run/broken.conf", text).unwrap();
        let said = says(&["check", "/run/broken.conf"], 1);
        for place in [":3:", ":4:", ":6:"] {
            assert!(said.contains(place), "no {place} in {said}");
        }
        assert!(!said.contains(&key[..40]), "the key was shown: {said}");
    });
}

#[test]
fn an_applied_file_says_what_changed_and_every_fault_by_line() {
    in_lab(|lab| {
        let world = World::new(lab, 1);
        let text = format!(
            "[[gateway]]\nid = \"{}\"\nprovider = \"lab\"\nname = \"gw3\"\nconfig = '''\n\
             [Interface]\n{}'''\n",
            gateway_id(3),
            world.peer.peer_section("203.0.113.1:51820")
        );
        fs::write("/run/catalog.toml", &text).unwrap();
        let said = says(&["apply", "-f", "/run/catalog.toml"], 0);
        assert!(said.contains("gw3"), "{said}");
        let broken = text.replace(":51820", ":0").replace("[Interface]", "[Interface]\nMTU = 1");
        fs::write("/run/catalog.toml", broken).unwrap();
        let said = says(&["apply", "-f", "/run/catalog.toml"], 1);
        assert!(said.contains("catalog.toml:7:") && said.contains("catalog.toml:10:"), "{said}");
    });
}

#[test]
fn a_record_is_made_changed_and_deleted_and_nobody_overwrites_what_they_have_not_seen() {
    in_lab(|lab| {
        let _agent = Agent::start(lab);
        let made =
            says(&["provider", "create", "--set", "name=nordic", "--set", "type=wireguard"], 0);
        assert!(made.contains("nordic"), "{made}");
        let answer = |arguments: &[&str], code| {
            let said = says(&[arguments, &["--output", "json"]].concat(), code);
            serde_json::from_str::<Value>(&said).unwrap_or_else(|_| panic!("no JSON: {said}"))
        };
        let key = KeyPair::random();
        fs::write("/run/key", &key.private).unwrap();
        let credential = ["credential", "create", "--set", "provider=nordic", "--set", "name=ann"];
        let secret = ["--set", "user=ann", "--read", "private_key=/run/key"];
        let open = answer(&[&credential[..], &secret].concat(), 1);
        assert_eq!(open["faults"][0]["file"], "/run/key", "others may read the key");
        fs::set_permissions("/run/key", fs::Permissions::from_mode(0o600)).unwrap();
        let made = answer(&[&credential[..], &secret].concat(), 0);
        assert_eq!(made["record"]["version"], 1);
        let id = made["record"]["id"].as_str().unwrap();

        let limit = ["--set", "active_connection_limit=5"];
        let update = |version, code| {
            let seen = ["credential", "update", id, "--if-version", version];
            answer(&[&seen[..], &limit].concat(), code)
        };
        let changed = update("1", 0);
        assert_eq!(changed["record"]["active_connection_limit"], 5);
        assert_eq!(update("1", 1)["code"], "precondition_failed");
        let table = says(&["credential", "update", id, "--if-version", "1", limit[0], limit[1]], 1);
        assert!(table.contains("read it again"), "{table}");
        let table = says(&["credential", "list"], 0);
        assert!(table.contains("ann") && table.contains('5'), "{table}");
        let wrong = answer(&["credential", "update", id, "--set", "active_connection_limit=0"], 1);
        assert_eq!(wrong["faults"][0]["field"], "active_connection_limit");

        assert_eq!(answer(&["provider", "delete", "nordic"], 1)["code"], "record_needed");
        assert_eq!(answer(&["credential", "delete", id, "--if-version", "1"], 1)["status"], 412);
        let gone = says(&["provider", "delete", "nordic", "--cascade"], 0);
        assert!(gone.contains(id) || gone.contains("ann"), "{gone}");
        assert_eq!(answer(&["credential", "show", id], 1)["code"], "no_such_record");
        assert_eq!(answer(&["provider", "list"], 0)["providers"], json!([]));
    });
}

#[test]
fn top_tells_how_sessions_stand_and_what_they_carry() {
    in_lab(|lab| {
        let world = World::new(lab, 1);
        let (container, _) = world.attached("c-1");
        let told = thread::scope(|scope| {
            let top = scope.spawn(|| says(&["top", "--count", "3", "--output", "json"], 0));
            while !top.is_finished() {
                container.wait_for_traffic(Duration::from_secs(5));
            }
            top.join().unwrap()
        });
        let pictures: Vec<Value> =
            told.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(pictures.len(), 3);
        let session = &pictures[1]["sessions"][0];
        assert_eq!(
            (&session["session_id"], &session["state"]),
            (&"c-1".into(), &"connected".into())
        );
        for field in ["received_bytes_per_s", "sent_bytes_per_s", "handshake_age_s"] {
            assert!(session[field].as_f64().unwrap() > 0.0, "{field} in {session}");
        }
        let table = says(&["top", "--count", "1"], 0);
        assert!(table.contains("c-1") && table.contains("connected"), "{table}");
    });
}

#[test]
fn nobody_there_and_nonsense_have_exit_codes_of_their_own() {
    in_lab(|_lab| {
        let said = says(&["sessions"], 69);
        assert!(said.contains("systemctl status egress-agent"), "{said}");
        says(&["session"], 64);
        says(&["attach", "c", "--netns", "/run/netns/x"], 64);
        says(&["exec", "-g", "x", "--", "true"], 125);
        says(&["exec", "-g", "x", "--no-such-option", "--", "true"], 125);
        for (arguments, code, word) in [
            (&["sessions", "-o", "json"][..], 69, "no_agent"),
            (&["-o", "json", "attach", "c", "--netns", "/x"], 64, "invalid_request"),
            (&["exec", "-o", "json", "-g", "x", "--", "true"], 125, "no_agent"),
            (&["check", "-o", "json", "/nowhere/there.conf"], 1, "invalid_request"),
        ] {
            let said = says(arguments, code);
            let problem: Value = serde_json::from_str(&said)
                .unwrap_or_else(|_| panic!("{arguments:?} is no JSON: {said}"));
            assert_eq!(problem["code"], word, "{arguments:?}: {said}");
        }
    });
}

#[test]
fn nobody_who_reads_is_no_reason_to_complain() {
    in_lab(|lab| {
        let _agent = Agent::start(lab);
        let (read, write) = std::io::pipe().unwrap();
        drop(read);
        let mut command = host_command(PROGRAM);
        let output = command.arg("sessions").stdout(write).output().unwrap();
        assert_eq!(output.status.code(), Some(141));
        assert_eq!(String::from_utf8_lossy(&output.stderr), "");
    });
}

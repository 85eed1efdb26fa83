//! Every call, every role, both doors of the real agent.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::os::unix::process::CommandExt;

use egress_agent::control::calls::Call;
use egress_agent::control::roles::Role;
use serde_json::Value;

use crate::harness::agent::Agent;
use crate::harness::elsewhere::{ADDRESS, DIR, settings};
use crate::harness::lab::in_lab;
use crate::harness::namespace::host_command;

/// The first of the users who have one role each on the host, and the group that all are in.
const USER: u32 = 61_000;
const HERE: &str = "http://agent";

#[test]
fn each_role_gets_through_to_its_calls_at_either_door_and_is_answered_as_documented() {
    in_lab(|lab| {
        let config = Role::ALL.iter().zip(USER..).fold(settings(), |config, (role, user)| {
            let section = format!("[roles.{}]\n", role.as_str());
            config.replace(&section, &format!("{section}users = [{user}]\n"))
        });
        // Root, as which the test itself asks, was the admin.
        let config = config
            .replace("\nusers = [0]\n", "\n")
            .replace(&format!("users = [{}]", USER + 3), &format!("users = [0, {}]", USER + 3));
        let agent = Agent::start_with(lab, &format!("[api]\ngroup = \"{USER}\"\n{config}"));
        let document: Value = agent.ask("GET", "/v1/openapi.json", "").json();
        let mut forbidden = 0;
        for (role, user) in Role::ALL.into_iter().zip(USER..) {
            let doors = [at_the_socket(&agent, user), at_the_port(role)];
            for (door, statuses) in ["socket", "port"].into_iter().zip(doors) {
                for call in Call::ALL {
                    let status = statuses[call.name()];
                    assert_eq!(status == 403, !role.may(call), "{role:?} {call:?} {door} {status}");
                    forbidden += usize::from(status == 403);
                    let method = call.method().as_str().to_lowercase();
                    let responses = &document["paths"][call.path()][method]["responses"];
                    assert!(responses.get(status.to_string()).is_some(), "{call:?} {status}");
                }
            }
        }
        let refused = |line: &&str| {
            line.contains(r#""target":"audit""#) && line.contains(r#""code":"forbidden""#)
        };
        assert_eq!(agent.log().lines().filter(refused).count(), forbidden);
    });
}

fn at_the_socket(agent: &Agent<'_>, user: u32) -> BTreeMap<String, u16> {
    let socket = format!("unix-socket = \"{}\"\n", agent.socket().display());
    statuses(&calls(HERE, &socket), user)
}

fn at_the_port(role: Role) -> BTreeMap<String, u16> {
    let role = role.as_str();
    let certificates = format!(
        "cert = \"{DIR}/{role}.pem\"\nkey = \"{DIR}/{role}.key\"\ncacert = \"{DIR}/ca.pem\"\n"
    );
    statuses(&calls(&format!("https://{ADDRESS}"), &certificates), 0)
}

/// Every call once, as curl reads them.
fn calls(at: &str, how: &str) -> String {
    Call::ALL.iter().fold(String::new(), |mut text, call| {
        let query = if *call == Call::ResolveGateway { "?name=x" } else { "" };
        let path = call.path().replace("{id}", "c-41").replace("{name}", "none");
        let _ = write!(
            text,
            "next\n{how}silent\nshow-error\ngloboff\nmax-time = 20\noutput = \"/dev/null\"\n\
             url = \"{at}{path}{query}\"\nrequest = \"{}\"\n\
             header = \"Content-Type: application/json\"\nheader = \"Last-Event-ID: none\"\n\
             write-out = \"{} %{{http_code}}\\n\"\n",
            call.method(),
            call.name(),
        );
        if call.method() != "GET" {
            text.push_str("data = \"{}\"\n");
        }
        text
    })
}

/// Makes the calls as a user, and gives the status of each.
fn statuses(calls: &str, user: u32) -> BTreeMap<String, u16> {
    fs::write("/run/calls", calls).expect("write curl's calls");
    let mut curl = host_command("curl");
    let output = curl.args(["-K", "/run/calls"]).uid(user).gid(USER).output().expect("run curl");
    let said = String::from_utf8_lossy(&output.stdout);
    let statuses: BTreeMap<_, _> = said
        .lines()
        .filter_map(|line| line.split_once(' '))
        .map(|(call, status)| (call.to_owned(), status.parse().expect("a status")))
        .collect();
    assert_eq!(statuses.len(), Call::ALL.len(), "{}", String::from_utf8_lossy(&output.stderr));
    statuses
}

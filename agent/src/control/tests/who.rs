//! Who may make which call, through real connections at both doors.

use egress_core::api::Code;
use serde_json::Value;

use super::log::Log;
use super::{Door, Lab, attach_body};
use crate::control::calls::Call;
use crate::control::roles::Role;

async fn status_of(lab: &Lab, door: Door, call: Call) -> u16 {
    let query = if call == Call::ResolveGateway { "?name=se-1" } else { "" };
    let target = call.path().replace("{id}", "c-41") + query;
    if call == Call::Events {
        return lab.ask_at(door, "GET", &target, "last-event-id: none\r\n", "").await.status;
    }
    let body = if call == Call::Attach { attach_body().to_string() } else { "{}".to_owned() };
    let headers = "content-type: application/json\r\n";
    lab.ask_at(door, call.method().as_str(), &target, headers, &body).await.status
}

#[tokio::test]
async fn each_role_gets_through_to_exactly_its_calls_at_both_doors_and_refusals_are_audited() {
    let log = Log::start();
    for role in Role::ALL {
        let lab = Lab::start_for(&[role]);
        for (door, call) in
            Door::ALL.into_iter().flat_map(|door| Call::ALL.map(|call| (door, call)))
        {
            log.take();
            let status = status_of(&lab, door, call).await;
            let refused = status == 403;
            assert_eq!(refused, !role.may(call), "{role:?} {call:?} {door:?}");
            let audited: Vec<_> = log.take().into_iter().filter(is_audit).collect();
            let is_due = status >= 400 || call.changes_something();
            assert_eq!(audited.len(), usize::from(is_due), "{audited:?}");
            if let Some(line) = audited.first() {
                must_tell(&line["fields"], door, call, role, refused);
            }
        }
    }
}

fn is_audit(line: &Value) -> bool {
    line["target"] == "audit"
}

fn must_tell(fields: &Value, door: Door, call: Call, role: Role, refused: bool) {
    assert_eq!(fields["call"], call.name());
    assert_eq!(fields["roles"], role.as_str());
    assert_eq!(fields["code"] == "forbidden", refused, "{fields}");
    match door {
        Door::Unix => {
            assert_eq!(fields["uid"], nix::unistd::getuid().as_raw());
            assert_eq!(fields["pid"], std::process::id());
            assert_eq!(fields["certificate"], Value::Null);
        }
        Door::Tls => {
            assert_eq!(fields["certificate"], "cn:caller");
            assert_eq!(fields["fingerprint"].as_str().map(str::len), Some(64));
            assert!(fields["peer"].as_str().unwrap().starts_with("127.0.0.1:"), "{fields}");
            assert_eq!(fields["uid"], Value::Null);
        }
    }
}

#[tokio::test]
async fn a_caller_with_two_roles_may_what_either_may() {
    let lab = Lab::start_for(&[Role::Launcher, Role::Ops]);
    for door in Door::ALL {
        assert_eq!(status_of(&lab, door, Call::Sessions).await, 200);
        assert_eq!(status_of(&lab, door, Call::Credentials).await, 200);
        assert_eq!(status_of(&lab, door, Call::Apply).await, 403);
    }
}

#[tokio::test]
async fn a_refused_caller_is_told_its_role_and_never_reaches_the_agent() {
    let lab = Lab::start_for(&[Role::Ops]);
    let problem = lab.post("/v1/sessions", "not even JSON").await.problem();
    assert_eq!(problem.code, Code::Forbidden);
    assert!(problem.detail.contains("role ops"), "{}", problem.detail);
    assert_eq!(lab.agent.asked(), Vec::<String>::new());
}

#[tokio::test]
async fn a_stranger_is_not_even_told_which_calls_there_are() {
    let log = Log::start();
    let lab = Lab::start_for(&[]);
    for door in Door::ALL {
        for (method, path) in
            [("GET", "/v1/openapi.json"), ("GET", "/nothing"), ("PUT", "/v1/offers")]
        {
            log.take();
            let reply = lab.ask_at(door, method, path, "", "").await;
            assert_eq!((reply.status, reply.problem().code), (403, Code::Forbidden), "{path}");
            let audited = log.take().into_iter().filter(is_audit).count();
            assert_eq!(audited, 1, "{method} {path} {door:?}");
        }
    }
}

//! Who may make which call, through real connections.

use egress_core::api::Code;

use super::{Lab, attach_body};
use crate::control::calls::Call;
use crate::control::roles::Role;

async fn status_of(lab: &Lab, call: Call) -> u16 {
    let query = if call == Call::ResolveGateway { "?name=se-1" } else { "" };
    let target = call.path().replace("{id}", "c-41") + query;
    if call == Call::Events {
        return lab.ask("GET", &target, "last-event-id: none\r\n", "").await.status;
    }
    let body = if call == Call::Attach { attach_body().to_string() } else { "{}".to_owned() };
    let headers = "content-type: application/json\r\n";
    lab.ask(call.method().as_str(), &target, headers, &body).await.status
}

#[tokio::test]
async fn each_role_gets_through_to_exactly_its_calls() {
    for role in Role::ALL {
        let lab = Lab::start_for(&[role]);
        for call in Call::ALL {
            let refused = status_of(&lab, call).await == 403;
            assert_eq!(refused, !role.may(call), "{role:?} {call:?}");
        }
    }
}

#[tokio::test]
async fn a_caller_with_two_roles_may_what_either_may() {
    let lab = Lab::start_for(&[Role::Launcher, Role::Ops]);
    assert_eq!(status_of(&lab, Call::Attach).await, 201);
    assert_eq!(status_of(&lab, Call::Credentials).await, 200);
    assert_eq!(status_of(&lab, Call::Apply).await, 403);
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
    let lab = Lab::start_for(&[]);
    for (method, path) in [("GET", "/v1/openapi.json"), ("GET", "/nothing"), ("PUT", "/v1/offers")]
    {
        let reply = lab.ask(method, path, "", "").await;
        assert_eq!((reply.status, reply.problem().code), (403, Code::Forbidden), "{path}");
    }
}

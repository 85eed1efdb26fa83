//! Lists of which a part is asked for.

use serde_json::Value;

use super::{GATEWAY, Lab, NO_GATEWAY, attach_body};

async fn ids(lab: &Lab, query: &str) -> (Vec<String>, Option<String>) {
    let reply = lab.get(&format!("/v1/sessions{query}")).await;
    assert_eq!(reply.status, 200, "{query}: {:?}", reply.json());
    let list = reply.json();
    let sessions = list["sessions"].as_array().unwrap().iter();
    let ids = sessions.map(|session| session["session_id"].as_str().unwrap().to_owned());
    (ids.collect(), list["next"].as_str().map(str::to_owned))
}

#[tokio::test]
async fn sessions_are_listed_by_whose_they_are_where_they_go_and_how_they_stand() {
    let lab = Lab::start();
    for (id, user, workspace) in
        [("a", "ann", "firefox"), ("b", "bob", "firefox"), ("c", "ann", "x")]
    {
        let mut body = attach_body();
        body["session_id"] = id.into();
        body["subject"] = serde_json::json!({"user": user, "workspace": workspace});
        assert_eq!(lab.post("/v1/sessions", &body.to_string()).await.status, 201);
    }
    let here = format!("?gateway={GATEWAY}&state=connected");
    for (query, wanted) in [
        ("", &["a", "b", "c"][..]),
        ("?user=ann", &["a", "c"]),
        ("?workspace=firefox", &["a", "b"]),
        ("?user=ann&workspace=firefox", &["a"]),
        ("?state=blocked", &[]),
        (&here, &["a", "b", "c"]),
        (&format!("?gateway={NO_GATEWAY}"), &[]),
    ] {
        assert_eq!(
            ids(&lab, query).await,
            (wanted.iter().map(|id| (*id).to_owned()).collect(), None)
        );
    }
    let (first, next) = ids(&lab, "?limit=2").await;
    assert_eq!((first, next.as_deref()), (vec!["a".to_owned(), "b".to_owned()], Some("b")));
    let (rest, next) = ids(&lab, "?limit=2&after=b").await;
    assert_eq!((rest, next), (vec!["c".to_owned()], None));
}

#[tokio::test]
async fn gateways_are_listed_by_provider_and_place() {
    let lab = Lab::start();
    let list = lab.get("/v1/gateways").await.json();
    let provider = list["gateways"][0]["provider_id"].as_str().unwrap().to_owned();
    let count = |list: &Value| list["gateways"].as_array().unwrap().len();
    for (query, wanted) in [
        (format!("?provider={provider}"), 1),
        (format!("?provider={NO_GATEWAY}"), 0),
        ("?country=sweden".to_owned(), 1),
        ("?country=Norway".to_owned(), 0),
        ("?city=MALM%C3%96".to_owned(), 1),
        ("?limit=5".to_owned(), 1),
    ] {
        assert_eq!(
            count(&lab.get(&format!("/v1/gateways{query}")).await.json()),
            wanted,
            "{query}"
        );
    }
}

#[tokio::test]
async fn a_part_that_cannot_be_is_refused_with_its_parameter() {
    let lab = Lab::start();
    for (target, field) in [
        ("/v1/sessions?limit=0", "limit"),
        ("/v1/sessions?state=dreaming", "state"),
        ("/v1/sessions?gateway=se-1", "gateway"),
        ("/v1/gateways?limit=-1", "limit"),
        ("/v1/credentials?owner=ann", "owner"),
        ("/v1/workspaces?limit=many", "limit"),
    ] {
        let problem = lab.get(target).await.problem();
        assert_eq!(problem.status, 400, "{target}");
        assert_eq!(problem.faults[0].field.as_deref(), Some(field), "{target}");
    }
}

//! The event stream over a connection.

use std::time::Duration;

use egress_core::api::{Code, Event};
use futures_util::{Stream, StreamExt};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::{Lab, refused_with};
use crate::control::client::Error;
use crate::control::events::{KEPT, Numbered};

fn changed(changed: u32) -> Event {
    Event::Catalog { changed }
}

async fn next(stream: &mut (impl Stream<Item = Result<Numbered, Error>> + Unpin)) -> (u64, Event) {
    let event = tokio::time::timeout(Duration::from_secs(10), stream.next()).await;
    let Numbered { id, event } = event.unwrap().unwrap().unwrap();
    (id, event.event)
}

#[tokio::test]
async fn every_follower_hears_what_happens() {
    let lab = Lab::start();
    let mut first = lab.client().events(None).await.unwrap();
    let mut second = lab.client().events(None).await.unwrap();
    for n in 1..=3 {
        lab.events.publish(changed(n));
    }
    for follower in [&mut first, &mut second] {
        for n in 1..=3 {
            assert_eq!(next(follower).await, (n.into(), changed(n)));
        }
    }
}

#[tokio::test]
async fn a_follower_goes_on_after_the_last_event_it_had() {
    let lab = Lab::start();
    for n in 1..=5 {
        lab.events.publish(changed(n));
    }
    let mut follower = lab.client().events(Some(3)).await.unwrap();
    assert_eq!(next(&mut follower).await.0, 4);
    assert_eq!(next(&mut follower).await.0, 5);
}

#[tokio::test]
async fn a_follower_whose_id_is_too_old_gets_a_reset_first() {
    let lab = Lab::start();
    for n in 0..u32::try_from(KEPT).unwrap() + 10 {
        lab.events.publish(changed(n));
    }
    let mut follower = lab.client().events(Some(3)).await.unwrap();
    assert_eq!(next(&mut follower).await, (10, Event::Reset));
    assert_eq!(next(&mut follower).await.0, 11);
}

#[tokio::test]
async fn an_id_that_is_no_number_is_refused() {
    let lab = Lab::start();
    for id in ["", "x", "-1", "1.5", "99999999999999999999"] {
        let header = format!("last-event-id: {id}\r\n");
        let problem = lab.ask("GET", "/v1/events", &header, "").await.problem();
        assert_eq!(problem.code, Code::InvalidRequest, "{id}");
        assert_eq!(problem.faults[0].field.as_deref(), Some("last-event-id"));
    }
}

#[tokio::test]
async fn an_event_reads_as_the_stream_format_has_it() {
    let lab = Lab::start();
    let mut stream = lab.connect().await;
    stream.write_all(b"GET /v1/events HTTP/1.0\r\n\r\n").await.unwrap();
    let mut text = String::new();
    while !text.contains("\r\n\r\n") {
        text.push_str(&read_some(&mut stream).await);
    }
    assert!(text.to_lowercase().contains("content-type: text/event-stream"), "{text}");
    lab.events.publish(changed(7));
    while !text.ends_with("\n\n") {
        text.push_str(&read_some(&mut stream).await);
    }
    let (_, frame) = text.split_once("\r\n\r\n").unwrap();
    let begins = "id: 1\nevent: catalog\ndata: {\"at_ms\":";
    let ends = ",\"event\":\"catalog\",\"changed\":7}\n\n";
    assert!(frame.starts_with(begins) && frame.ends_with(ends), "{frame:?}");
}

async fn read_some(stream: &mut tokio::net::UnixStream) -> String {
    let mut bytes = [0; 4_096];
    let count = tokio::time::timeout(Duration::from_secs(10), stream.read(&mut bytes)).await;
    let count = count.unwrap().unwrap();
    assert_ne!(count, 0, "the stream ended");
    String::from_utf8_lossy(&bytes[..count]).into_owned()
}

#[tokio::test(start_paused = true)]
async fn a_silent_stream_shows_that_it_lives() {
    let lab = Lab::start();
    let mut stream = lab.connect().await;
    stream.write_all(b"GET /v1/events HTTP/1.0\r\n\r\n").await.unwrap();
    let mut text = String::new();
    let alive = async {
        while text.matches("\n:").count() < 2 {
            let mut bytes = [0; 4_096];
            let count = stream.read(&mut bytes).await.unwrap();
            text.push_str(&String::from_utf8_lossy(&bytes[..count]));
        }
    };
    tokio::time::timeout(Duration::from_secs(40), alive).await.unwrap();
}

#[tokio::test]
async fn a_follower_that_takes_nothing_neither_stops_others_nor_keeps_its_place() {
    let lab = Lab::start();
    let mut asleep = lab.connect().await;
    asleep.write_all(b"GET /v1/events HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    let mut awake = lab.client().events(None).await.unwrap();
    let started = std::time::Instant::now();
    let mut published = 0;
    // Far more than a socket's buffers hold.
    while published < 20_000 {
        lab.events.publish(changed(published));
        published += 1;
        assert_eq!(next(&mut awake).await.1, changed(published - 1));
    }
    let mut bytes = vec![0; 64 << 10];
    tokio::time::sleep(Duration::from_secs(11).saturating_sub(started.elapsed())).await;
    let drained = async { while asleep.read(&mut bytes).await.unwrap_or(0) > 0 {} };
    tokio::time::timeout(Duration::from_secs(5), drained).await.expect("it was dropped");
}

#[tokio::test]
async fn the_stream_ends_when_the_agent_stops() {
    let lab = Lab::start();
    let mut follower = lab.client().events(None).await.unwrap();
    lab.stop.cancel();
    let end = tokio::time::timeout(Duration::from_secs(10), follower.next()).await.unwrap();
    assert!(end.is_none(), "{end:?}");
}

#[tokio::test]
async fn those_who_may_not_follow_are_refused() {
    let lab = Lab::start_for(&[crate::control::roles::Role::Plugin]);
    let Err(error) = lab.client().events(None).await else { panic!("a plugin may follow") };
    assert_eq!(refused_with(&error), Code::Forbidden);
}

//! The picture, drawn on a terminal in memory.

use std::io;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crossterm::event::{Event, KeyCode, KeyEvent, KeyModifiers};
use egress_core::api::{SessionList, SessionView, TrafficList, TrafficView};
use futures_util::StreamExt;
use futures_util::stream::{self, BoxStream};
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use serde_json::json;

use super::board::Board;
use super::live::show;
use super::news::Look;
use crate::ctl::failure::Failure;
use crate::ctl::tables;

/// Five seconds in: `a` is connected and carries, `b` is blocked.
fn looks() -> [Look; 2] {
    let start = Instant::now();
    let look = |seconds, received, sent| Look {
        sessions: SessionList {
            sessions: vec![session("a", "connected"), blocked("b")],
            next: None,
        },
        traffic: TrafficList { traffic: vec![traffic("a", received, sent)] },
        at: start + Duration::from_secs(seconds),
    };
    [look(0, 1_000, 500), look(5, 6_001_000, 2_500)]
}

fn session(id: &str, state: &str) -> SessionView {
    let gateway = json!({
        "id": uuid::Uuid::nil(), "name": "se-1", "provider_id": uuid::Uuid::nil(),
        "provider": "nordic", "country": "Sweden", "city": "Malmö",
    });
    let view = json!({
        "session_id": id, "state": state, "subject": {"user": "ann"}, "profile": "sealed",
        "gateway": gateway, "credential_name": "ann-1", "addresses": [], "dns": [],
        "environment": {}, "created_at": three_hours_ago(),
        "timings_ms": { "seal": 0.0, "select": 0.0, "tunnel": 0.0, "handshake": 0.0, "open": 0.0,
                        "total": 0.0 },
    });
    serde_json::from_value(view).unwrap()
}

/// And some minutes: an age that stays the same while the test runs.
fn three_hours_ago() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    now - 3 * 3_600 - 600
}

fn blocked(id: &str) -> SessionView {
    let reason = json!({ "code": "handshake_timeout", "detail": "nobody answers" });
    SessionView { reason: serde_json::from_value(reason).unwrap(), ..session(id, "blocked") }
}

fn traffic(id: &str, received_bytes: u64, sent_bytes: u64) -> TrafficView {
    TrafficView {
        session_id: id.parse().unwrap(),
        handshake_age_s: Some(42.4),
        received_bytes,
        sent_bytes,
        dropped_packets: 7,
    }
}

/// What is on a terminal of this height when the keys are pressed and the last one ends it.
async fn screen(
    height: u16,
    news: impl IntoIterator<Item = Result<Look, Failure>>,
    keys: &[KeyCode],
) -> Vec<String> {
    let mut terminal = Terminal::new(TestBackend::new(150, height)).unwrap();
    let news = stream::iter(news.into_iter().collect::<Vec<_>>()).chain(stream::pending());
    // Keys come when the news is in.
    let keys: Vec<_> = keys.iter().copied().chain([KeyCode::Char('q')]).collect();
    let keys = late(stream::iter(keys).map(|key| Ok(pressed(key))).boxed());
    let ended = tokio::time::timeout(Duration::from_mins(1), show(&mut terminal, news, keys));
    ended.await.expect("q ends it").unwrap();
    let buffer = terminal.backend().buffer().clone();
    let row = |y| (0..buffer.area.width).map(|x| buffer[(x, y)].symbol()).collect::<String>();
    (0..height).map(|y| row(y).trim_end().to_owned()).collect()
}

fn late(keys: BoxStream<'static, io::Result<Event>>) -> BoxStream<'static, io::Result<Event>> {
    stream::once(tokio::time::sleep(Duration::from_secs(1)))
        .flat_map(move |()| stream::empty())
        .chain(keys)
        .boxed()
}

fn pressed(key: KeyCode) -> Event {
    Event::Key(KeyEvent::new(key, KeyModifiers::NONE))
}

#[tokio::test(start_paused = true)]
async fn every_session_is_a_line_with_its_state_gateway_handshake_and_rates() {
    let screen = screen(6, looks().map(Ok), &[]).await;
    let words = |at: usize| screen[at].split_whitespace().collect::<Vec<_>>().join(" ");
    assert_eq!(words(0), "1 connected, 1 blocked received 1.2 MB/s sent 400 B/s");
    assert_eq!(
        words(1),
        "SESSION STATE USER GATEWAY CREDENTIAL AGE HANDSHAKE RECEIVED SENT DROPPED REASON"
    );
    assert_eq!(words(2), "a connected ann nordic/se-1 ann-1 3 h 42 s 1.2 MB/s 400 B/s 7");
    assert_eq!(words(3), "b blocked ann nordic/se-1 ann-1 3 h handshake_timeout");
    assert!(words(5).starts_with("q quit"), "{screen:?}");
}

#[tokio::test(start_paused = true)]
async fn an_agent_that_does_not_answer_leaves_the_last_picture_and_says_why() {
    let trouble = Failure::Usage("no agent answers".to_owned());
    let [first, second] = looks();
    let screen = screen(6, [Ok(first), Ok(second), Err(trouble)], &[]).await;
    assert!(screen[2].contains("1.2 MB/s"), "{screen:?}");
    assert!(screen[5].contains("no agent answers"), "{screen:?}");
}

fn many(count: usize) -> Look {
    let ids: Vec<_> = (0..count).map(|n| format!("s{n:03}")).collect();
    let traffic = ids.iter().zip(0..).map(|(id, n)| traffic(id, n * 1_000, 0)).collect();
    Look {
        sessions: SessionList {
            sessions: ids.iter().map(|id| session(id, "connected")).collect(),
            next: None,
        },
        traffic: TrafficList { traffic },
        at: Instant::now(),
    }
}

#[tokio::test(start_paused = true)]
async fn keys_scroll_as_far_as_there_are_sessions() {
    let first = async |keys: &[KeyCode]| {
        let screen = screen(13, [Ok(many(40))], keys).await;
        screen[2].split_whitespace().next().unwrap().to_owned()
    };
    assert_eq!(first(&[]).await, "s000");
    assert_eq!(first(&[KeyCode::Up]).await, "s000");
    assert_eq!(first(&[KeyCode::Down, KeyCode::Down]).await, "s002");
    assert_eq!(first(&[KeyCode::PageDown]).await, "s010");
    assert_eq!(first(&[KeyCode::End]).await, "s030");
    assert_eq!(first(&[KeyCode::End, KeyCode::Down, KeyCode::Up]).await, "s029");
    assert_eq!(first(&[KeyCode::End, KeyCode::Home]).await, "s000");
}

#[tokio::test(start_paused = true)]
async fn the_session_that_carries_most_comes_first_when_that_is_asked() {
    let mut later = many(5);
    later.at += Duration::from_secs(1);
    later.traffic.traffic.iter_mut().for_each(|it| it.received_bytes *= 2);
    let screen = screen(8, [Ok(many(5)), Ok(later)], &[KeyCode::Char('t')]).await;
    assert!(screen[2].contains("s004") && screen[6].contains("s000"), "{screen:?}");
}

#[test]
fn a_tunnel_made_anew_counts_from_zero() {
    let [mut first, second] = looks();
    first.traffic.traffic[0].received_bytes = 9_000_000;
    let mut board = Board::default();
    assert!(!board.take(first), "one look makes no rate");
    assert!(board.take(second));
    let json = serde_json::to_value(&board).unwrap();
    assert_eq!(json["sessions"][0]["received_bytes_per_s"], 1_200_200.0);
    assert!(json["sessions"][1].get("received_bytes_per_s").is_none(), "{json}");
}

#[test]
fn numbers_have_the_unit_that_is_worth_knowing() {
    let rates = [0.0, 999.0, 1_000.0, 99_900.0, 123_456.0, 999_600.0, 5e9, 5e12];
    let words = rates.map(tables::rate);
    let wanted = [
        "0 B/s",
        "999 B/s",
        "1.0 kB/s",
        "99.9 kB/s",
        "123 kB/s",
        "1.0 MB/s",
        "5.0 GB/s",
        "5000 GB/s",
    ];
    assert_eq!(words, wanted);
    assert_eq!([1.4, 119.0, 121.0, 7_300.0].map(tables::age), ["1 s", "119 s", "2 min", "2 h"]);
}

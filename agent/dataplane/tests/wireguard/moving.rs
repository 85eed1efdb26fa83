//! Far ends that restart, move and vanish; data planes that die.

use std::net::{SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use egress_dataplane::protocol::{Command, Event, Reply};
use libtest_mimic::Trial;

use crate::control::{DataPlane, socket};
use crate::far_end::{FarEnd, SOON};
use crate::scene::{Scene, TUNNEL, Wanted};
use crate::traffic::{eventually, says_back, send_through, tcp, tcp_echo, udp, udp_echo, within};

pub fn tests() -> Vec<Trial> {
    tests![
        traffic_resumes_within_17_seconds_of_a_restart_of_the_far_end,
        a_far_end_away_for_more_than_90_seconds_is_found_again_and_kept_alive,
        an_absent_far_end_is_silent_every_five_seconds_and_harms_nothing,
        a_far_end_that_moved_is_followed_when_listening,
        a_far_end_at_another_endpoint_is_reached_through_another_socket,
        tcp_outlives_the_data_plane_when_another_takes_the_exported_descriptors,
    ]
}

/// A service at the far end and a socket in the box that asks it again and again.
struct Asking {
    socket: UdpSocket,
    service: SocketAddr,
}

impl Asking {
    fn new(scene: &Scene) -> Self {
        let service = SocketAddr::new(scene.far_inner(false), 7000);
        udp_echo(&scene.lab.far(), SocketAddr::new([0, 0, 0, 0].into(), 7000));
        let socket = udp(&scene.lab.inside(), scene.box_inner(false), Duration::from_millis(200));
        Self { socket, service }
    }

    fn is_answered(&self) -> bool {
        says_back(&self.socket, self.service, &fastrand::u64(..).to_ne_bytes())
    }

    fn resumes_after(&self, limit: Duration) -> Duration {
        within(limit, || self.is_answered()).expect("an answer in time")
    }
}

fn traffic_resumes_within_17_seconds_of_a_restart_of_the_far_end() {
    let mut scene = Scene::new(&Wanted::default());
    let asking = Asking::new(&scene);
    eventually("the service answers", || asking.is_answered());
    scene.stop_far_end();
    assert!(!asking.is_answered());
    scene.start_far_end();
    let silence = asking.resumes_after(Duration::from_secs(17));
    println!("far end restarted: traffic resumed after {:.1} s", silence.as_secs_f64());
    assert!(scene.control.stats().peers[0].handshakes >= 2);
}

fn a_far_end_away_for_more_than_90_seconds_is_found_again_and_kept_alive() {
    let mut scene = Scene::new(&Wanted { keepalive: Some(1), ..Wanted::default() });
    let asking = Asking::new(&scene);
    eventually("the service answers", || asking.is_answered());
    scene.stop_far_end();
    // Long enough for a handshake to begin (15 s) and for boringtun to give up (90 s).
    let away = Instant::now() + Duration::from_secs(112);
    while Instant::now() < away {
        asking.is_answered();
    }
    std::thread::sleep(Duration::from_secs(1));
    scene.start_far_end();
    // Nothing is sent: the data plane has to begin by itself.
    let found = scene.await_handshake(Duration::from_secs(8));
    println!("far end back after 112 s: found after {:.1} s", found.as_secs_f64());
    let far_end = scene.far_end.as_ref().unwrap();
    let before = far_end.received();
    eventually("three keepalives", || far_end.received() >= before + 3 * 32);
    asking.resumes_after(SOON);
}

fn an_absent_far_end_is_silent_every_five_seconds_and_harms_nothing() {
    let mut scene = Scene::new(&Wanted { far_end: false, ..Wanted::default() });
    let silent = |event: &Event, least| {
        matches!(
            event,
            Event::Silent { tunnel: TUNNEL, peer: 0, for_ms, .. } if (least..least + 1_500).contains(for_ms)
        )
    };
    scene.control.await_news(Duration::from_secs(6), |event| silent(event, 5_000));
    let again = scene.control.await_news(Duration::from_secs(6), |event| silent(event, 10_000));
    assert!(again > Duration::from_secs(4), "{again:?}");
    // Each initiation met a closed port.
    assert!(scene.control.stats().drops.io >= 2);
    scene.start_far_end();
    // The next initiation comes 5 to 6 s after the last.
    scene.await_handshake(Duration::from_secs(8));
}

fn a_far_end_that_moved_is_followed_when_listening() {
    for outer_v6 in [false, true] {
        let mut scene = Scene::new(&Wanted { outer_v6, ..Wanted::default() });
        let asking = Asking::new(&scene);
        eventually("the service answers", || asking.is_answered());
        scene.stop_far_end();
        scene.lab.take_far(2);
        scene.lab.give_far(3);
        let local = rustix::net::getsockname(&scene.socket).unwrap();
        let port = SocketAddr::try_from(local).unwrap().port();
        scene.settings.endpoint = Some(SocketAddr::new(scene.lab.outer(1, outer_v6), port));
        scene.start_far_end();
        std::thread::sleep(Duration::from_secs(2));
        assert!(!asking.is_answered(), "it was followed without leave");

        scene.control.order(Command::Listen { tunnel: TUNNEL, peer: 0 }, &[]);
        let endpoint = FarEnd::at(scene.lab.outer(3, outer_v6));
        let moved = Event::Moved { tunnel: TUNNEL, peer: 0, endpoint };
        // wireguard-go tries every 5 s.
        let after = scene.control.await_news(Duration::from_secs(7), |event| *event == moved);
        println!("far end moved: followed after {:.1} s", after.as_secs_f64());
        asking.resumes_after(SOON);
        assert_eq!(scene.control.stats().peers[0].endpoint, Some(endpoint));
    }
}

fn a_far_end_at_another_endpoint_is_reached_through_another_socket() {
    let mut scene = Scene::new(&Wanted::default());
    let asking = Asking::new(&scene);
    eventually("the service answers", || asking.is_answered());
    scene.stop_far_end();
    scene.lab.take_far(2);
    scene.lab.give_far(3);
    scene.start_far_end();
    let endpoint = FarEnd::at(scene.lab.outer(3, false));
    let socket = socket(endpoint);
    let command = Command::SetEndpoint { tunnel: TUNNEL, peer: 0, endpoint };
    scene.control.order(command, &[&socket]);
    let handshake = scene.await_handshake(SOON);
    println!("another endpoint: handshake after {:.3} s", handshake.as_secs_f64());
    asking.resumes_after(SOON);
    assert_eq!(scene.control.stats().peers[0].endpoint, Some(endpoint));
}

fn tcp_outlives_the_data_plane_when_another_takes_the_exported_descriptors() {
    let wanted = Wanted::default();
    let mut scene = Scene::new(&wanted);
    let service = SocketAddr::new(scene.far_inner(false), 7000);
    tcp_echo(&scene.lab.far(), service);
    let stream = tcp(&scene.lab.inside(), service);
    send_through(&stream, 1 << 20);

    let (reply, mut fds) = scene.control.ask(Command::Export { tunnel: TUNNEL }, &[]);
    let Reply::Exported { config } = reply else { panic!("{reply:?}") };
    assert_eq!((&config, fds.len()), (&scene.config(&wanted), 2));
    // Only the exported ones are left when the process is gone.
    scene.socket = fds.pop().unwrap();
    scene.device = fds.pop().unwrap();
    let killed = Instant::now();
    scene.data_plane.process.kill().unwrap();
    scene.data_plane.process.wait().unwrap();
    scene.data_plane = DataPlane::start();
    scene.control = scene.data_plane.control();
    assert!(scene.control.hello().is_empty());
    scene.control.add(config, &[&scene.device, &scene.socket]);
    scene.await_handshake(SOON);
    println!(
        "data plane replaced: handshake {:.3} s after the kill",
        killed.elapsed().as_secs_f64()
    );
    send_through(&stream, 1 << 20);
    assert_eq!(scene.control.hello(), [TUNNEL]);
}

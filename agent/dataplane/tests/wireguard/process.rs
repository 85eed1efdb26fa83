//! The process itself: whom it serves, when it ends, what it withstands.

use std::net::SocketAddr;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::process::{Command as Process, ExitCode};
use std::time::Duration;

use egress_dataplane::protocol::{Command, Event, PACKET_MAX, PEERS_MAX, Reply};
use egress_linux::{link, peer, seqpacket};
use libtest_mimic::Trial;
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;

use crate::control::{DataPlane, NOBODY};
use crate::lab::{Lab, ip};
use crate::scene::{Scene, TUNNEL, Wanted};
use crate::traffic::{ping, udp, within};

pub fn tests() -> Vec<Trial> {
    tests![
        a_dead_namespace_is_told_once_and_costs_no_time,
        it_lives_on_when_memory_is_given_back,
        it_ends_after_bye_when_it_carries_nothing,
        it_ends_ten_seconds_after_control_is_gone,
        it_does_not_end_while_it_carries_a_tunnel,
        a_kept_device_outlives_control_and_the_process_that_it_was_kept_for,
        the_newest_connection_is_control,
        another_socket_takes_the_place_of_the_one_before,
        it_says_that_it_is_alive,
        control_sees_the_processs_own_credentials,
        somebody_who_is_neither_root_nor_its_parent_is_not_served,
        a_control_that_does_not_read_stops_nothing,
        nonsense_closes_the_connection_and_nothing_else,
        no_packet_whatever_harms_it,
        an_impossible_request_is_refused_with_a_reason,
        it_has_no_privilege_and_cannot_be_read_or_dumped,
    ]
}

fn a_dead_namespace_is_told_once_and_costs_no_time() {
    let mut scene = Scene::new(&Wanted::default());
    ip(&format!("netns del {}", scene.lab.box_name()));
    let gone = Event::DeviceGone { tunnel: TUNNEL };
    let after = scene.control.await_news(Duration::from_secs(5), |event| *event == gone);
    println!("namespace dead: told after {:.3} s", after.as_secs_f64());
    assert!(scene.control.hello().is_empty());
    let before = scene.data_plane.cpu_ticks();
    std::thread::sleep(Duration::from_secs(2));
    assert!(scene.data_plane.cpu_ticks() - before <= 2, "it is busy with nothing");
    scene.control.order(Command::Bye, &[]);
    assert_eq!(scene.data_plane.ended(Duration::from_secs(1)), Some(true));
}

fn it_lives_on_when_memory_is_given_back() {
    let mut scene = Scene::new(&Wanted { far_end: false, ..Wanted::default() });
    let socket = udp(&scene.lab.inside(), scene.box_inner(false), Duration::from_secs(1));
    // Packets wait for the handshake, and then there are as many no more.
    let sink = SocketAddr::new(scene.far_inner(false), 9);
    let flood = || {
        for _ in 0..1000 {
            socket.send_to(&[0; 1300], sink).unwrap();
        }
    };
    flood();
    scene.start_far_end();
    scene.await_handshake(Duration::from_secs(8));
    assert_eq!(scene.control.hello(), [TUNNEL]);
    flood();
    assert_eq!(scene.control.hello(), [TUNNEL]);
}

fn it_ends_after_bye_when_it_carries_nothing() {
    let mut data_plane = DataPlane::start();
    let mut control = data_plane.control();
    assert!(control.hello().is_empty());
    control.order(Command::Bye, &[]);
    assert_eq!(data_plane.ended(Duration::from_secs(1)), Some(true));
}

fn it_ends_ten_seconds_after_control_is_gone() {
    let mut data_plane = DataPlane::start();
    let mut control = data_plane.control();
    control.hello();
    drop(control);
    assert_eq!(data_plane.ended(Duration::from_secs(9)), None);
    assert_eq!(data_plane.ended(Duration::from_secs(2)), Some(true));
}

fn it_does_not_end_while_it_carries_a_tunnel() {
    let mut scene = Scene::new(&Wanted::default());
    scene.control.order(Command::Bye, &[]);
    assert_eq!(scene.data_plane.ended(Duration::from_secs(12)), None);
    scene.control = scene.data_plane.control();
    assert_eq!(scene.control.hello(), [TUNNEL]);
    scene.control.order(Command::Remove { tunnel: TUNNEL }, &[]);
    scene.control.order(Command::Remove { tunnel: TUNNEL }, &[]);
    scene.control.order(Command::Bye, &[]);
    assert_eq!(scene.data_plane.ended(Duration::from_secs(1)), Some(true));
}

fn a_kept_device_outlives_control_and_the_process_that_it_was_kept_for() {
    let lab = Lab::new();
    let mut data_plane = DataPlane::start();
    let mut control = data_plane.control();
    control.order(Command::Keep { tunnel: TUNNEL }, &[&lab.device()]);
    let index = device_of(&lab).expect("there is a device");
    drop(control);
    assert_eq!(data_plane.ended(Duration::from_secs(12)), None);
    let mut control = data_plane.control();
    assert_eq!((control.hello(), control.kept()), (vec![], vec![TUNNEL]));
    let (reply, fds) = control.ask(Command::Export { tunnel: TUNNEL }, &[]);
    assert_eq!((reply, fds.len()), (Reply::Kept, 1));
    assert_eq!(device_of(&lab), Some(index));
    drop(fds);
    control.order(Command::Remove { tunnel: TUNNEL }, &[]);
    assert!(control.kept().is_empty());
    let gone = || device_of(&lab).is_none();
    within(Duration::from_secs(1), gone).expect("a device is gone with its last holder");
    control.order(Command::Bye, &[]);
    assert_eq!(data_plane.ended(Duration::from_secs(1)), Some(true));
}

/// The number of the tunnel's device in the box.
fn device_of(lab: &Lab) -> Option<u32> {
    let links = lab.inside().run(link::links).unwrap().unwrap();
    links.iter().find(|link| link.name == "eg0").map(|link| link.index)
}

fn the_newest_connection_is_control() {
    let data_plane = DataPlane::start();
    let mut first = data_plane.control();
    first.hello();
    let mut second = data_plane.control();
    second.hello();
    assert!(first.is_closed());
    second.hello();
}

fn another_socket_takes_the_place_of_the_one_before() {
    let mut scene = Scene::new(&Wanted::default());
    let path = scene.data_plane.path.with_extension("again");
    scene.control.order(Command::Serve, &[&seqpacket::bind(&path).unwrap()]);
    assert!(seqpacket::connect(&scene.data_plane.path).is_err());
    assert_eq!(scene.control.hello(), [TUNNEL], "whoever is connected stays so");
    scene.data_plane.path = path;
    scene.control = scene.data_plane.control();
    assert_eq!(scene.control.hello(), [TUNNEL]);
    assert!(scene.control.refusal(Command::Serve, &[]).contains("one descriptor"));
}

fn it_says_that_it_is_alive() {
    let mut scene = Scene::new(&Wanted::default());
    for _ in 0..20 {
        let (reply, _) = scene.control.ask(Command::Ping, &[]);
        let Reply::Alive { stuck } = reply else { panic!("{reply:?}") };
        // A worker with nothing to do moves once a second.
        assert!(stuck < 20, "{stuck}");
        std::thread::sleep(Duration::from_millis(100));
    }
}

fn control_sees_the_processs_own_credentials() {
    let data_plane = DataPlane::start();
    let control = data_plane.control();
    assert_eq!(peer::credentials(&control.fd).unwrap().pid, data_plane.process.id());
}

/// The argument that makes this binary connect to the socket in the next one.
pub const STRANGER: &str = "be-a-stranger";
const NOT_SERVED: u8 = 3;

pub fn be_a_stranger() -> ExitCode {
    let path = std::env::args().nth(2).unwrap();
    let fd = seqpacket::connect(path.as_ref()).unwrap();
    match seqpacket::recv(&fd, &mut [0; 1]) {
        Ok(None) | Err(_) => ExitCode::from(NOT_SERVED),
        Ok(Some(_)) => ExitCode::SUCCESS,
    }
}

fn somebody_who_is_neither_root_nor_its_parent_is_not_served() {
    let data_plane = DataPlane::start();
    let mut control = data_plane.control();
    std::fs::set_permissions(&data_plane.path, PermissionsExt::from_mode(0o666)).unwrap();
    let mut stranger = Process::new("/proc/self/exe");
    stranger.arg(STRANGER).arg(&data_plane.path).uid(NOBODY);
    assert_eq!(stranger.status().unwrap().code(), Some(NOT_SERVED.into()));
    control.hello();
}

fn a_control_that_does_not_read_stops_nothing() {
    let mut scene = Scene::new(&Wanted::default());
    let asked = scene.control.ask_without_reading(|| Command::Export { tunnel: TUNNEL });
    assert!(asked > 100, "{asked}");
    let (name, far) = (scene.lab.box_name(), scene.far_inner(false));
    assert!((0..10).all(|_| ping(&name, far, 100)));
    let before = scene.data_plane.cpu_ticks();
    std::thread::sleep(Duration::from_secs(1));
    assert!(scene.data_plane.cpu_ticks() - before <= 2, "it is busy with waiting");
    assert_eq!(scene.control.answers(asked), asked);
    assert_eq!(scene.control.hello(), [TUNNEL]);
}

fn nonsense_closes_the_connection_and_nothing_else() {
    let data_plane = DataPlane::start();
    let huge = vec![0; PACKET_MAX + 1];
    let packets = [&b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"[..], &[0], &[1, 99], &huge];
    for packet in packets {
        let mut control = data_plane.control();
        control.hello();
        seqpacket::send(&control.fd, packet, &[]).unwrap();
        assert!(control.is_closed(), "{} bytes", packet.len());
    }
    data_plane.control().hello();
}

fn no_packet_whatever_harms_it() {
    let mut scene = Scene::new(&Wanted::default());
    let mut random = TestRunner::deterministic();
    for _ in 0..500 {
        let mut control = scene.data_plane.control();
        control.hello();
        let packet = packet().new_tree(&mut random).unwrap().current();
        seqpacket::send(&control.fd, &packet, &[]).unwrap();
    }
    scene.control = scene.data_plane.control();
    assert_eq!(scene.control.hello(), [TUNNEL]);
}

/// Packets that begin as requests do: a number and a command, but none that could be meant.
fn packet() -> impl Strategy<Value = Vec<u8>> {
    let rest = prop::collection::vec(any::<u8>(), 0..200);
    (any::<u8>(), 0..10u8, 8..=255u8, rest)
        .prop_map(|(number, command, tunnel, rest)| [vec![number, command, tunnel], rest].concat())
}

fn an_impossible_request_is_refused_with_a_reason() {
    let mut scene = Scene::new(&Wanted::default());
    let file = std::fs::File::open("/dev/null").unwrap().into();
    let wanted = Wanted::default();

    let too_few = scene.config(&wanted);
    assert!(scene.control.refusal(Command::Add(too_few), &[&scene.device]).contains("descriptors"));
    let no_socket = scene.config(&wanted);
    let fds = [&scene.device, &file];
    assert!(scene.control.refusal(Command::Add(no_socket), &fds).contains("socket of peer 0"));
    let mut too_many = scene.config(&wanted);
    while too_many.peers.len() <= PEERS_MAX {
        too_many.peers.extend(scene.config(&wanted).peers);
    }
    let fds = [&scene.device, &scene.socket];
    assert!(scene.control.refusal(Command::Add(too_many), &fds).contains("17 peers"));

    let keep = Command::Keep { tunnel: 9 };
    assert!(scene.control.refusal(keep, &[]).contains("one descriptor"));
    let listen = |tunnel, peer| Command::Listen { tunnel, peer };
    assert!(scene.control.refusal(listen(TUNNEL, 1), &[]).contains("no peer 1"));
    assert!(scene.control.refusal(listen(8, 0), &[]).contains("no tunnel 8"));
    let endpoint = scene.endpoint;
    let set = Command::SetEndpoint { tunnel: TUNNEL, peer: 0, endpoint };
    assert!(scene.control.refusal(set, &[]).contains("descriptors"));
    assert!(scene.control.refusal(Command::Export { tunnel: 8 }, &[]).contains("no tunnel 8"));
    assert_eq!(scene.control.hello(), [TUNNEL], "the tunnel is as it was");
}

/// A thread with a filter of system calls.
const FILTERED: &str = "Seccomp:\t2";

fn it_has_no_privilege_and_cannot_be_read_or_dumped() {
    let data_plane = DataPlane::start();
    data_plane.control().hello();
    let proc = format!("/proc/{}", data_plane.process.id());
    let status = std::fs::read_to_string(format!("{proc}/status")).unwrap();
    for line in ["Uid:\t65534\t65534", "CapEff:\t0000000000000000", "NoNewPrivs:\t1", FILTERED] {
        assert!(status.contains(line), "{status}");
    }
    for thread in std::fs::read_dir(format!("{proc}/task")).unwrap() {
        let status = std::fs::read_to_string(thread.unwrap().path().join("status")).unwrap();
        assert!(status.contains(FILTERED), "{status}");
    }
    let limits = std::fs::read_to_string(format!("{proc}/limits")).unwrap();
    let core = limits.lines().find(|line| line.starts_with("Max core file size")).unwrap();
    assert_eq!(core.split_whitespace().nth(4), Some("0"), "{core}");
    // Its own user's, if it could be dumped.
    assert_eq!(std::fs::metadata(format!("{proc}/environ")).unwrap().uid(), 0);
}

//! What a control plane is told of live connections, whatever becomes of it.

use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use egress_core::report::{Report, sign};
use egress_core::secret::Secret;

use crate::harness::agent::Agent;
use crate::harness::container::Container;
use crate::harness::lab::in_lab;
use crate::harness::namespace::host_command;
use crate::harness::process::Process;
use crate::harness::wait;
use crate::harness::wireguard_peer::Program;
use crate::harness::world::{World, request, session_id};

const ADDRESS: &str = "127.0.0.1:9700";
const KEY: &str = "0123456789abcdef0123456789abcdef";
const KEY_FILE: &str = "/run/report.key";
const RECEIVER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/configs/report/receiver.py");
const SOON: Duration = Duration::from_secs(20);
/// How long nobody listens.
const DOWN: Duration = Duration::from_mins(1);
/// How long every other sort of trouble lasts.
const TROUBLE: Duration = Duration::from_secs(2);

/// What a receiver does with each connection.
const TROUBLES: [&[u8]; 6] = [
    b"",
    // It flaps.
    b"HTTP/1.1 204 No Content\r\n\r\n",
    b"\x00\xff garbage \r\n\r\n",
    b"HTTP/1.1 301 Moved\r\nLocation: http://127.0.0.1:9586/\r\nContent-Length: 0\r\n\r\n",
    b"HTTP/1.1 500 Oops\r\nContent-Length: 100\r\n\r\ncut",
    b"HTTP/1.1 503 Busy\r\nx: ",
];

#[test]
fn a_receiver_in_trouble_costs_attaches_nothing_and_hears_the_truth_when_it_is_back() {
    in_lab(|lab| {
        write_key();
        let config = format!(
            "[report]\nurl = \"http://{ADDRESS}/limits\"\nkey_file = \"{KEY_FILE}\"\n\
             host_id = \"host-1\"\ntimeout_s = 1\nretry_s = 1\n"
        );
        let mut world = World::with(lab, 3, Program::WireguardGo, &config);
        let (_stays, _) = world.attached("stays");
        let mut receiver = start_receiver();
        wait::until("the session is reported", SOON, || {
            newest(&receiver).is_some_and(|it| count(&it) == 1)
        });
        assert!(world.agent.counts("egress_report_pending", &[], 0));
        let well = attaches(&world.agent, "well", TROUBLE);

        receiver.kill();
        let resident = resident_kib(world.agent.pid());
        let down = attaches(&world.agent, "down", DOWN);
        assert!(world.agent.counts("egress_report_pending", &[], 1));
        let hostile = {
            let _hostile = Hostile::start();
            attaches(&world.agent, "hostile", 2 * TROUBLE)
        };
        assert!(world.agent.metric("egress_report_failures_total", &[]) >= 3.0);
        let grown = resident_kib(world.agent.pid()).saturating_sub(resident);
        assert!(grown < 16 << 10, "control has grown by {grown} KiB");
        for (trouble, median) in [("down", down), ("hostile", hostile)] {
            assert!(
                median < 2 * well + Duration::from_millis(100),
                "{trouble}: {median:?}, else {well:?}"
            );
        }

        let (_also, _) = world.attached("also");
        let receiver = start_receiver();
        wait::until("a message gets through", SOON, || newest(&receiver).is_some());
        let first: Report =
            serde_json::from_str(receiver.output().lines().next().unwrap()).unwrap();
        assert_eq!(sessions(&first), ["also", "stays"], "the first message is the whole truth");
        assert_eq!((first.in_use.keys.len(), first.host_id.as_str()), (2, "host-1"));
        assert!(!receiver.output().contains(&world.clients[0].keys.private));
        refuses_what_is_not_signed(&receiver);

        world.agent.kill_control();
        world.agent.start_again();
        wait::until("the next life reports", SOON, || {
            newest(&receiver).is_some_and(|it| it.sequence >> 32 > first.sequence >> 32)
        });
        assert_eq!(sessions(&newest(&receiver).unwrap()), ["also", "stays"]);
        world.agent.detach(&session_id("also"), false);
        wait::until("the end is reported", SOON, || {
            sessions(&newest(&receiver).unwrap()) == ["stays"]
        });
    });
}

fn write_key() {
    fs::write(KEY_FILE, format!("{KEY}\n")).unwrap();
    fs::set_permissions(KEY_FILE, fs::Permissions::from_mode(0o600)).unwrap();
}

fn start_receiver() -> Process {
    let arguments = [RECEIVER, "--listen", ADDRESS, "--key-file", KEY_FILE];
    Process::start(host_command("python3").args(arguments))
}

/// The message that the receiver took last.
fn newest(receiver: &Process) -> Option<Report> {
    let output = receiver.output();
    let line = output.lines().next_back()?;
    Some(serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {output}")))
}

fn count(report: &Report) -> u32 {
    report.in_use.connections.iter().map(|credential| credential.in_use).sum()
}

fn sessions(report: &Report) -> Vec<String> {
    let credentials = report.in_use.connections.iter();
    let mut names: Vec<_> =
        credentials.flat_map(|credential| &credential.sessions).map(ToString::to_string).collect();
    names.sort();
    names
}

/// Attaches and detaches for so long, and gives the median time of an attach.
#[expect(clippy::print_stdout, reason = "the times are worth a look")]
fn attaches(agent: &Agent<'_>, when: &str, lasting: Duration) -> Duration {
    let begun = Instant::now();
    let mut times = Vec::new();
    while begun.elapsed() < lasting || times.len() < 5 {
        let name = format!("{when}-{}", times.len());
        let container = Container::with_process(&name);
        let asked = Instant::now();
        agent.attach(&request(&name, container.by_path(), 0)).unwrap();
        times.push(asked.elapsed());
        agent.detach(&session_id(&name), false);
    }
    times.sort();
    let median = times[times.len() / 2];
    println!(
        "{when}: {} attaches, median {median:?}, longest {:?}",
        times.len(),
        times[times.len() - 1]
    );
    median
}

fn resident_kib(pid: i32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.split_whitespace().next().unwrap().parse().unwrap()
}

/// A receiver that does one of [`TROUBLES`] after another, and nothing at all in between.
struct Hostile {
    listener: TcpListener,
    thread: Option<thread::JoinHandle<()>>,
}

impl Hostile {
    fn start() -> Self {
        let listener = TcpListener::bind(ADDRESS).unwrap();
        let accepting = listener.try_clone().unwrap();
        let thread = thread::spawn(move || {
            for trouble in TROUBLES.into_iter().cycle() {
                let Ok((mut stream, _)) = accepting.accept() else { return };
                let mut request = [0; 1 << 14];
                // Whoever hangs up has had enough.
                if matches!(stream.read(&mut request), Ok(0) | Err(_)) {
                    return;
                }
                let _ = stream.write_all(trouble);
                while trouble.ends_with(b"x: ") && stream.write_all(&[b'y'; 1 << 14]).is_ok() {}
            }
        });
        Self { listener, thread: Some(thread) }
    }
}

impl Drop for Hostile {
    fn drop(&mut self) {
        // A connection that says nothing ends the thread.
        drop(TcpStream::connect(self.listener.local_addr().unwrap()));
        self.thread.take().unwrap().join().unwrap();
    }
}

/// What somebody else makes up, and what somebody recorded, is not taken.
fn refuses_what_is_not_signed(receiver: &Process) {
    let before = receiver.output();
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let body = before.lines().next().unwrap();
    let key = Secret::new(KEY.as_bytes().to_vec());
    let other = Secret::new(b"another key of sixteen".to_vec());
    let old = now - 3_600;
    for (timestamp, signature, status) in [
        (now, sign(&other, now, body.as_bytes()), "401"),
        (old, sign(&key, old, body.as_bytes()), "401"),
        (now, sign(&key, now, body.as_bytes()), "204"),
    ] {
        let answer = post(timestamp, &signature, body);
        assert!(answer.starts_with(&format!("HTTP/1.0 {status}")), "{answer}");
    }
    assert_eq!(receiver.output(), before, "a message that was heard before says nothing new");
}

fn post(timestamp: u64, signature: &str, body: &str) -> String {
    let mut stream = TcpStream::connect(ADDRESS).unwrap();
    stream.set_read_timeout(Some(SOON)).unwrap();
    write!(
        stream,
        "POST /limits HTTP/1.1\r\nhost: x\r\ncontent-length: {}\r\nx-egress-timestamp: {timestamp}\r\n\
         x-egress-signature: {signature}\r\nconnection: close\r\n\r\n{body}",
        body.len()
    )
    .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

//! What the agent's processes are from outside: their names, their files, what they leave behind.

use std::fs;
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixDatagram;
use std::thread;
use std::time::Duration;

use egress_core::api::SessionState;
use egress_linux::process::PidFd;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::harness::agent::{Agent, RUN_DIR};
use crate::harness::holding::listeners_of;
use crate::harness::lab::{SERVER_V4, in_lab};
use crate::harness::openvpn_world::OpenvpnWorld;
use crate::harness::traffic::Stream;
use crate::harness::wait;
use crate::harness::world::{World, session_id};

const LIMIT: Duration = Duration::from_secs(30);
/// `O_CLOEXEC` in `/proc/PID/fdinfo`.
const CLOSE_ON_EXEC: u32 = 0o2_000_000;
/// The socket by which control finds the data plane.
const DATAPLANE_SOCKET: &str = "/run/egress-agent/private/dataplane.sock";

fn read(pid: i32, file: &str) -> String {
    fs::read_to_string(format!("/proc/{pid}/{file}")).expect("the process lives")
}

/// The names of a process's threads, its own first.
fn threads(pid: i32) -> Vec<String> {
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).expect("the process lives").flatten();
    let name = |task: fs::DirEntry| fs::read_to_string(task.path().join("comm")).ok();
    tasks.filter_map(name).map(|name| name.trim().to_owned()).collect()
}

#[test]
fn both_processes_and_their_threads_have_names() {
    in_lab(|lab| {
        let world = World::new(lab, 1);
        let (control, dataplane) = (world.agent.pid(), world.agent.dataplane_pid().unwrap());
        // The kernel keeps fifteen bytes of a name.
        assert_eq!(read(control, "comm").trim(), "egress-agentd");
        assert_eq!(read(dataplane, "comm").trim(), "egress-dataplan");
        assert!(read(dataplane, "cmdline").starts_with("egress-dataplane\0"));
        for wanted in ["control-0", "store-writer"] {
            assert!(threads(control).iter().any(|name| name == wanted), "{wanted}");
        }
        assert!(threads(dataplane).iter().any(|name| name == "worker-0"));
    });
}

#[test]
fn both_processes_are_measured() {
    in_lab(|lab| {
        let world = World::new(lab, 1);
        let _attached = world.attached("c-1");
        let names =
            ["resident_memory_bytes", "open_fds", "max_fds", "threads", "start_time_seconds"];
        for prefix in ["process", "egress_dataplane"] {
            for name in names {
                let value = world.agent.metric(&format!("{prefix}_{name}"), &[]);
                assert!(value > 1.0, "{prefix}_{name} {value}");
            }
            let cpu = format!("{prefix}_cpu_seconds_total");
            assert!(world.agent.metrics().contains(&format!("# TYPE {cpu} counter")));
        }
        let began = world.agent.metric("egress_dataplane_start_time_seconds", &[]);
        // Two data planes within one tick have the same time.
        thread::sleep(Duration::from_millis(50));
        world.agent.kill_dataplane();
        wait::until("another one is measured", LIMIT, || {
            world.agent.metric("egress_dataplane_start_time_seconds", &[]) > began
        });
    });
}

#[test]
fn every_file_of_both_processes_is_closed_when_they_execute_something() {
    in_lab(|lab| {
        let world = OpenvpnWorld::new(lab);
        let _attached = world.attached("c-1");
        for pid in [world.agent.pid(), world.agent.dataplane_pid().unwrap()] {
            let files = fs::read_dir(format!("/proc/{pid}/fdinfo")).expect("it lives").flatten();
            let mut count = 0;
            for file in files {
                let number = file.file_name().to_string_lossy().parse::<u32>().unwrap();
                let Ok(about) = fs::read_to_string(file.path()) else { continue };
                let flags = about.lines().find_map(|line| line.strip_prefix("flags:"));
                let flags = u32::from_str_radix(flags.unwrap().trim(), 8).unwrap();
                let what = fs::read_link(format!("/proc/{pid}/fd/{number}"));
                assert!(number < 3 || flags & CLOSE_ON_EXEC != 0, "{pid}: {number} {what:?}");
                count += 1;
            }
            assert!(count > 5, "{count} files");
        }
    });
}

#[test]
fn a_start_does_not_mind_a_child_that_still_holds_a_dead_agents_listeners() {
    in_lab(|lab| {
        let mut world = World::new(lab, 1);
        let (container, _) = world.attached("c-1");
        // What a child of the agent has until it executes.
        let pids = [world.agent.pid(), world.agent.dataplane_pid().unwrap()];
        let held: Vec<OwnedFd> = pids.into_iter().flat_map(listeners_of).collect();
        assert!(held.len() >= 3, "the API, the metrics and the data plane: {}", held.len());
        world.agent.kill_control();
        let dataplane = PidFd::open(pids[1].cast_unsigned()).unwrap();
        kill(Pid::from_raw(pids[1]), Signal::SIGKILL).unwrap();
        wait::until("the data plane is dead", LIMIT, || !dataplane.alive());
        let release = thread::spawn(move || {
            thread::sleep(Duration::from_secs(1));
            drop(held);
        });
        world.agent.start_again();
        release.join().unwrap();
        world.agent.wait_for_state(&session_id("c-1"), SessionState::Connected, LIMIT);
        container.wait_for_traffic(LIMIT);
    });
}

#[test]
fn systemd_is_told_that_the_agent_lives_for_as_long_as_it_does() {
    in_lab(|lab| {
        let path = "/run/notify";
        let told = UnixDatagram::bind(path).unwrap();
        told.set_read_timeout(Some(LIMIT)).unwrap();
        let environment =
            vec![("NOTIFY_SOCKET", path.to_owned()), ("WATCHDOG_USEC", "300000".to_owned())];
        let agent = Agent::start_in(lab, "", environment);
        let hear = || {
            let mut buffer = [0; 256];
            let length = told.recv(&mut buffer).expect("it is told");
            String::from_utf8_lossy(&buffer[..length]).into_owned()
        };
        assert!(hear().contains("READY=1"));
        assert!((0..5).all(|_| hear().contains("WATCHDOG=1")));
        kill(Pid::from_raw(agent.pid()), Signal::SIGSTOP).unwrap();
        // What was said before it was stopped.
        told.set_read_timeout(Some(Duration::from_secs(1))).unwrap();
        let more = std::iter::from_fn(|| told.recv(&mut [0; 256]).ok()).count();
        assert!(more < 3, "a stopped agent says {more} more times that it lives");
    });
}

#[test]
fn a_second_agent_is_turned_away() {
    in_lab(|lab| {
        let world = World::new(lab, 1);
        let said = Agent::start_another();
        assert!(said.contains("open in another process"), "{said}");
        assert_eq!(world.agent.readiness().0, 200);
    });
}

#[test]
fn all_come_back_when_the_run_directory_was_removed() {
    in_lab(|lab| {
        let mut world = World::new(lab, 2);
        let (container, _) = world.attached("c-1");
        let stream = Stream::start(&container, SERVER_V4.into());
        let before = world.agent.dataplane_pid();
        fs::remove_dir_all(RUN_DIR).unwrap();
        world.agent.kill_dataplane();
        wait::until("another data plane runs", LIMIT, || {
            world.agent.dataplane_pid().is_some_and(|pid| Some(pid) != before)
        });
        container.wait_for_traffic(LIMIT);
        wait::until("the API is found again", LIMIT, || world.agent.answers());
        let modes = [(RUN_DIR, 0o755), ("/run/egress-agent/private", 0o700)];
        for (path, wanted) in modes {
            let mode = fs::metadata(path).unwrap().permissions().mode() & 0o7777;
            assert_eq!(mode, wanted, "{path}");
        }
        // The next control finds the data plane, though it was not the one that made the socket.
        let dataplane = world.agent.dataplane_pid();
        world.agent.kill_control();
        world.agent.start_again();
        assert_eq!(world.agent.dataplane_pid(), dataplane);
        let record = stream.finish();
        assert_eq!(record.broken, None);
    });
}

#[test]
fn a_data_plane_is_found_again_after_its_socket_was_removed() {
    in_lab(|lab| {
        let mut world = World::new(lab, 1);
        let (container, _) = world.attached("c-1");
        let before = world.agent.dataplane_pid();
        fs::remove_file(DATAPLANE_SOCKET).unwrap();
        wait::until("there is another socket", LIMIT, || fs::metadata(DATAPLANE_SOCKET).is_ok());
        world.agent.kill_control();
        world.agent.start_again();
        assert_eq!(world.agent.dataplane_pid(), before);
        container.wait_for_traffic(LIMIT);
    });
}

#[test]
fn a_data_plane_that_nobody_finds_any_more_is_ended_and_its_sessions_come_back() {
    in_lab(|lab| {
        let mut world = World::new(lab, 1);
        let (container, _) = world.attached("c-1");
        let before = world.agent.dataplane_pid();
        world.agent.kill_control();
        fs::remove_dir_all(RUN_DIR).unwrap();
        world.agent.start_again();
        world.agent.wait_for_state(&session_id("c-1"), SessionState::Connected, LIMIT);
        container.wait_for_traffic(LIMIT);
        let all = world.agent.dataplane_pids();
        assert!(all.len() == 1 && all.first().copied() != before, "{before:?}, {all:?}");
    });
}

#[test]
fn an_openvpn_comes_back_when_the_run_directory_was_removed() {
    in_lab(|lab| {
        let world = OpenvpnWorld::new(lab);
        let (container, _) = world.attached("c-1");
        let before = world.openvpn_pids()[0];
        fs::remove_dir_all(RUN_DIR).unwrap();
        kill(Pid::from_raw(before), Signal::SIGKILL).unwrap();
        world.wait_for_another(before, LIMIT);
        container.wait_for_traffic(LIMIT);
        wait::until("the API is found again", LIMIT, || world.agent.answers());
        let (other, _) = world.attached("c-2");
        other.wait_for_traffic(LIMIT);
    });
}

//! openvpn as the agent runs it, against real servers, without the rest of the agent.

use std::fs;
use std::net::{IpAddr, Ipv4Addr};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use egress_core::api::Code;
use egress_core::openvpn::machine::{Farewell, News};
use nix::sys::signal::{Signal, kill};
use nix::sys::stat::Mode;
use nix::unistd::{Pid, mkfifo};

use super::harness::lab::in_lab;
use super::harness::openvpn_client::{Client, RUN_DIR, Tunnel, Who};
use super::harness::openvpn_pki::Age;
use super::harness::openvpn_server::{
    Carrier, OpenvpnServer, Options, PASSWORD, Proof, USERNAME, Wrap,
};
use super::harness::probe::ping;

const SOON: Duration = Duration::from_secs(10);

/// The openvpn of the agent's tunnel `number`.
fn pid_of(number: u64) -> i32 {
    let note = fs::read_to_string(format!("{RUN_DIR}/openvpn/{number:x}/process")).unwrap();
    note.split(' ').next().unwrap().parse().unwrap()
}

fn answers(address: Ipv4Addr) -> bool {
    ping(IpAddr::V4(address), Duration::from_secs(2)).is_ok()
}

fn line<'a>(status: &'a str, name: &str) -> &'a str {
    let line = status.lines().find_map(|line| line.strip_prefix(name));
    line.unwrap_or_else(|| panic!("no {name} in {status}")).trim()
}

#[test]
fn a_tunnel_carries_packets_and_says_goodbye() {
    in_lab(|lab| {
        let server = OpenvpnServer::start(&lab.gateway(0), Options::default());
        let mut client = Client::new();
        let mut times = Vec::new();
        for round in 0..7 {
            let begun = Instant::now();
            let mut tunnel = client.start(&server.profile(), &Who::default());
            let pushed = tunnel.connected();
            times.push(begun.elapsed());
            assert_eq!(pushed.addresses.len(), 2);
            assert_eq!(pushed.search, ["example.test"]);
            if round == 0 {
                tunnel.configure(&pushed);
                assert!(answers(server.tunnel_v4()), "{}", server.output());
                tunnel.until("bytes are counted", SOON, |running| running.traffic().received > 0);
            }
            assert_eq!(tunnel.stop(), Farewell::Told);
        }
        times.sort_unstable();
        println!("start to connected: p50 {:?}, all {times:?}", times[times.len() / 2]);
        assert!(
            server.output().contains("CC-EEN exit message received by peer"),
            "{}",
            server.output()
        );
    });
}

#[test]
fn an_openvpn_that_says_nothing_is_not_waited_for_when_nobody_wants_it() {
    in_lab(|lab| {
        let (path, silence) = ("/run/mute-openvpn", "/run/silence");
        mkfifo(silence, Mode::empty()).unwrap();
        fs::set_permissions(silence, fs::Permissions::from_mode(0o666)).unwrap();
        let version = "echo 'OpenVPN 2.6.14 x86_64-pc-linux-gnu'; exit 1";
        let script =
            format!("#!/bin/sh\n[ \"$1\" = --version ] && {{ {version}; }}\n. {silence}\n");
        fs::write(path, script).unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
        let server = OpenvpnServer::start(&lab.gateway(0), Options::default());
        let mut client = Client::of(path).unwrap();
        let before = lab.processes().len();
        let tunnel = client.start(&server.profile(), &Who::default());
        tunnel.until("it runs", SOON, |_| lab.processes().len() > before);
        let begun = Instant::now();
        assert_eq!(tunnel.stop(), Farewell::Told);
        assert!(begun.elapsed() < Duration::from_secs(2), "{:?}", begun.elapsed());
        assert_eq!(lab.processes().len(), before);
    });
}

#[test]
fn a_killed_openvpn_comes_back_on_the_same_device() {
    in_lab(|lab| {
        let server = OpenvpnServer::start(&lab.gateway(0), Options::default());
        let mut client = Client::new();
        let mut tunnel = client.start(&server.profile(), &Who::default());
        let pushed = tunnel.connected();
        tunnel.configure(&pushed);
        let index = tunnel.index();
        assert!(answers(server.tunnel_v4()));
        // A connection that breaks at once is not tried again at once.
        tunnel.pass(Duration::from_secs(5));
        let begun = Instant::now();
        kill(Pid::from_raw(pid_of(1)), Signal::SIGKILL).unwrap();
        assert_eq!(tunnel.down().code, Code::OpenvpnFailed);
        let pushed = tunnel.connected();
        println!("killed to connected: {:?}", begun.elapsed());
        assert_eq!(tunnel.index(), index);
        tunnel.configure(&pushed);
        assert!(answers(server.tunnel_v4()));
        assert_eq!(tunnel.stop(), Farewell::Told);
    });
}

#[test]
fn a_server_that_restarts_is_connected_to_again_whatever_address_it_gives() {
    in_lab(|lab| {
        let mut server = OpenvpnServer::start(&lab.gateway(0), Options::default());
        let mut client = Client::new();
        let mut tunnel = client.start(&server.profile(), &Who::default());
        let first = tunnel.connected();
        tunnel.configure(&first);
        let index = tunnel.index();
        server.kill();
        server.restart();
        let same = tunnel.reconnected(server.tunnel_v4());
        assert_eq!(same.addresses, first.addresses);
        tunnel.configure(&same);
        assert!(answers(server.tunnel_v4()));
        server.set_pool(Ipv4Addr::new(10, 9, 0, 0));
        server.kill();
        server.restart();
        let other = tunnel.reconnected(Ipv4Addr::new(10, 8, 0, 1));
        assert_ne!(other.addresses, first.addresses);
        assert_eq!(tunnel.index(), index);
        tunnel.configure(&other);
        assert!(answers(server.tunnel_v4()));
    });
}

#[test]
fn a_server_that_says_goodbye_is_connected_to_when_it_is_back() {
    in_lab(|lab| {
        let more = "explicit-exit-notify 1\n".to_owned();
        let options = Options { more, ..Options::default() };
        let mut server = OpenvpnServer::start(&lab.gateway(0), options);
        let mut client = Client::new();
        let mut tunnel = client.start(&server.profile(), &Who::default());
        tunnel.connected();
        server.terminate();
        let reason = tunnel.down();
        assert_eq!(reason.code, Code::ServerPushedExit, "{reason:?}");
        server.restart();
        tunnel.connected();
    });
}

#[test]
fn every_transport_and_every_key_is_spoken() {
    in_lab(|lab| {
        let gateway = lab.gateway(0);
        let mut client = Client::new();
        let long = "x".repeat(300);
        let plain = Options::default();
        let of = |port, options: Options| Options { port, ..options };
        let password = |text: &str| Proof::Password(text.to_owned(), None);
        let servers = [
            of(1200, Options { carrier: Carrier::Tcp, ..plain.clone() }),
            of(1201, Options { carrier: Carrier::Udp6, ..plain.clone() }),
            of(1202, Options { wrap: Wrap::Auth, ..plain.clone() }),
            of(1203, Options { wrap: Wrap::Crypt, ..plain.clone() }),
            of(1204, Options { wrap: Wrap::CryptV2, ..plain.clone() }),
            of(1205, Options { proof: Proof::Certificate(Age::Good), ..plain.clone() }),
            of(1206, Options { proof: password(&long), ..plain.clone() }),
            of(1207, Options { proof: password("we\"ird\\pa'ss #1;x"), ..plain.clone() }),
        ];
        for options in servers {
            let who = match &options.proof {
                Proof::Password(password, _) => {
                    Who { password: Some(password.clone()), ..Who::default() }
                }
                Proof::Certificate(_) => Who { password: None, ..Who::default() },
            };
            let server = OpenvpnServer::start(&gateway, options.clone());
            let mut tunnel = client.start(&server.profile(), &who);
            let pushed = tunnel.connected();
            tunnel.configure(&pushed);
            assert!(answers(server.tunnel_v4()), "{options:?}");
            assert_eq!(tunnel.stop(), Farewell::Told, "{options:?}");
        }
    });
}

#[test]
fn a_token_of_the_servers_serves_after_openvpn_has_died() {
    in_lab(|lab| {
        let more = "auth-gen-token 3600\n".to_owned();
        let options = Options { more, ..Options::default() };
        let server = OpenvpnServer::start(&lab.gateway(0), options);
        let mut client = Client::new();
        let mut tunnel = client.start(&server.profile(), &Who::default());
        tunnel.connected();
        tunnel.pass(Duration::from_secs(5));
        kill(Pid::from_raw(pid_of(1)), Signal::SIGKILL).unwrap();
        tunnel.down();
        tunnel.connected();
        let said = server.output();
        let with_token = "Username/auth-token authentication succeeded";
        assert_eq!(said.matches(with_token).count(), 1, "{said}");
    });
}

#[test]
fn a_silent_server_is_left_for_the_next_one() {
    in_lab(|lab| {
        let gateway = lab.gateway(0);
        let server = OpenvpnServer::start(&gateway, Options::default());
        let silent = Ipv4Addr::new(203, 0, 113, 9);
        let remotes = format!("remote {silent} 1194 udp\n{}", server.remote());
        let mut client = Client::new();
        let mut tunnel = client.start(&server.profile_with(&remotes, ""), &Who::default());
        assert_eq!(tunnel.trouble().0, Code::EndpointUnreachable);
        tunnel.connected();
    });
}

#[test]
fn openvpn_has_nothing_that_is_not_its_own() {
    in_lab(|lab| {
        let server = OpenvpnServer::start(&lab.gateway(0), Options::default());
        let profile = server.profile();
        let mut first = Client::new();
        first.start_kept(&profile, &Who::default());
        first.start_kept(&profile, &Who::default());
        let pids = [pid_of(1), pid_of(2)];
        let kept = fs::read_dir(format!("{RUN_DIR}/openvpn/1")).unwrap();
        let mut kept: Vec<_> = kept.map(|entry| entry.unwrap().file_name()).collect();
        kept.sort_unstable();
        assert_eq!(kept, ["management.sock", "process", "tmp"]);
        assert_eq!(fs::read_dir(format!("{RUN_DIR}/openvpn/1/tmp")).unwrap().count(), 0);
        let mut uids = Vec::new();
        for pid in pids {
            let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
            for set in ["CapInh:", "CapPrm:", "CapEff:", "CapBnd:", "CapAmb:"] {
                assert_eq!(line(&status, set), "0000000000000000", "{set}");
            }
            assert_eq!(line(&status, "NoNewPrivs:"), "1");
            assert_eq!(line(&status, "Seccomp:"), "2");
            assert_eq!(line(&status, "Groups:"), "");
            let ids: Vec<&str> = line(&status, "Uid:").split_whitespace().collect();
            assert!(ids.iter().all(|id| *id == ids[0] && *id != "0"), "{ids:?}");
            uids.push(ids[0].to_owned());
            let limits = fs::read_to_string(format!("/proc/{pid}/limits")).unwrap();
            let core = line(&limits, "Max core file size").split_whitespace().collect::<Vec<_>>();
            assert_eq!(core[..2], ["0", "0"]);
            for file in ["cmdline", "environ"] {
                let text = fs::read(format!("/proc/{pid}/{file}")).unwrap();
                let text = String::from_utf8_lossy(&text).into_owned();
                assert!(!text.contains(PASSWORD) && !text.contains(USERNAME), "{file}: {text}");
            }
            assert_eq!(fs::read(format!("/proc/{pid}/environ")).unwrap(), b"");
        }
        assert_ne!(uids[0], uids[1]);
        for (reader, read, own) in [(0, 1, false), (1, 0, false), (0, 0, true)] {
            for file in ["mem", "maps", "environ", "fd"] {
                let path = format!("/proc/{}/{file}", pids[read]);
                assert_eq!(may_read(&uids[reader], &path), own, "{reader} reads {path}");
            }
        }
        // The other's socket, too.
        let socket = format!("{RUN_DIR}/openvpn/2");
        assert!(!may_read(&uids[0], &socket));
    });
}

/// Whether a user can open a file or directory.
fn may_read(uid: &str, path: &str) -> bool {
    let is_dir = Path::new(path).is_dir();
    let script = if is_dir { format!("ls {path}/") } else { format!(": <{path}") };
    let mut command = Command::new("setpriv");
    command.args(["--reuid", uid, "--regid", uid, "--clear-groups", "sh", "-c", &script]);
    command.output().unwrap().status.success()
}

#[test]
fn an_openvpn_whose_agent_died_is_not_left_beside_a_new_one() {
    in_lab(|lab| {
        let server = OpenvpnServer::start(&lab.gateway(0), Options::default());
        let mut client = Client::new();
        client.start_kept(&server.profile(), &Who::default());
        let pid = pid_of(1);
        // What a killed agent leaves behind: nothing that runs at an end has run.
        kill(Pid::from_raw(pid), Signal::SIGSTOP).unwrap();
        std::mem::forget(client);
        let _second = Client::new();
        let gone = || !Path::new(&format!("/proc/{pid}/fd")).exists() || is_zombie(pid);
        super::harness::wait::until("what was left behind is gone", SOON, gone);
    });
}

fn is_zombie(pid: i32) -> bool {
    fs::read_to_string(format!("/proc/{pid}/status"))
        .is_ok_and(|status| line(&status, "State:").starts_with('Z'))
}

#[test]
fn a_tunnel_whose_namespace_ends_is_over_at_once() {
    in_lab(|lab| {
        let server = OpenvpnServer::start(&lab.gateway(0), Options::default());
        let container = super::harness::namespace::Namespace::add("box");
        let mut client = Client::new();
        let mut tunnel = client.start(&server.profile(), &Who::default());
        tunnel.connected();
        super::harness::namespace::host_ip(&format!("link set {} netns box\n", tunnel.device));
        let pid = pid_of(1);
        let begun = Instant::now();
        container.remove();
        assert_eq!(tunnel.news(), News::DeviceGone);
        println!("namespace to news: {:?}", begun.elapsed());
        let path = format!("/proc/{pid}");
        tunnel.until("openvpn is gone", Duration::from_secs(3), |_| !Path::new(&path).exists());
        println!("namespace to the end of openvpn: {:?}", begun.elapsed());
    });
}

impl Tunnel<'_> {
    #[expect(clippy::print_stdout, reason = "the times are worth a look")]
    /// Keeps packets going until it has been connected anew.
    fn reconnected(&mut self, towards: Ipv4Addr) -> egress_core::openvpn::Pushed {
        let begun = Instant::now();
        let done = AtomicBool::new(false);
        thread::scope(|scope| {
            scope.spawn(|| {
                while !done.load(Ordering::Relaxed) {
                    let _ = ping(IpAddr::V4(towards), Duration::from_millis(200));
                }
            });
            let reason = self.down();
            let down = begun.elapsed();
            let pushed = self.connected();
            println!("{reason:?} after {down:?}, connected after {:?}", begun.elapsed());
            done.store(true, Ordering::Relaxed);
            pushed
        })
    }
}

//! As many sessions as an agent takes, and its processes killed and stopped under them: how long
//! each session is silent.

use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::json;

use crate::cost::Cost;
use crate::harness::agent::Agent;
use crate::harness::container::Container;
use crate::harness::crowd::{Crowd, attach, each};
use crate::harness::internet::Internet;
use crate::harness::lab::{Gateway, Lab};
use crate::harness::openvpn_server::{OpenvpnServer, Options, PASSWORD, USERNAME};
use crate::harness::probes::Probes;
use crate::harness::wait;
use crate::harness::world::{GROUP, gateway_id};

/// Beyond that a session is lost.
const LIMIT: Duration = Duration::from_mins(3);
/// Between two questions at the least.
const PAUSE: Duration = Duration::from_millis(500);
/// How long the agent may take to stop: `sessions.stop_s` and seven seconds.
const STOP: Duration = Duration::from_secs(17);
/// Sessions of one OpenVPN server: a pool of addresses has 253.
const POOL: u16 = 150;
/// The number of the first OpenVPN gateway, and of the first one that is mute for a while.
const OPENVPN: u16 = 10_000;
const MUTE: u16 = 20_000;
/// Sessions that are on their way while the data plane dies.
const CONNECTING: u16 = 200;

/// All that asks.
struct Asking {
    wireguard: Probes,
    openvpn: Probes,
}

/// Kills and stops everything in turn.
pub fn run(lab: &Lab, wireguard: u16, openvpn: u16) {
    let gateway = lab.gateway(0);
    let config = format!(
        "[sessions]\nlimit = {}\n[openvpn]\nuid_first = 1950000000\nuid_count = 1024\n\
         [log]\nlevel = \"warn\"\n",
        wireguard + openvpn + CONNECTING
    );
    let mut agent = Agent::start_with(lab, &config);
    let start = Instant::now();
    let crowd = Crowd::new(&agent, &gateway, 0, wireguard);
    println!("{wireguard} far ends and namespaces made in {:.1?}", start.elapsed());
    let start = Instant::now();
    let probes = crowd.attach(&agent);
    println!("{wireguard} WireGuard sessions attached in {:.1?}", start.elapsed());
    let servers: Vec<_> =
        (0..openvpn.div_ceil(POOL)).map(|number| Server::start(lab, number)).collect();
    let start = Instant::now();
    let others = openvpn_sessions(&agent, &servers, openvpn);
    println!("{openvpn} OpenVPN sessions attached in {:.1?}", start.elapsed());
    let mut asking = Asking { wireguard: probes, openvpn: Probes::of(&others) };
    let nothing = |_: &mut Agent<'_>| ();
    let start_again = |agent: &mut Agent<'_>| {
        agent.begin_again();
        let took = wait::until("the agent answers", LIMIT, || agent.answers());
        println!("  control answered again after {took:.1?}");
    };
    asking.ask(&mut agent, "with nothing wrong", nothing, nothing);
    println!("{}", Cost::of_agent(&agent));
    asking.ask(&mut agent, "data plane killed", |agent| agent.kill_dataplane(), nothing);
    asking.ask(&mut agent, "data plane stopped", stop_dataplane, nothing);
    asking.ask(&mut agent, "control killed", Agent::kill_control, start_again);
    asking.ask(&mut agent, "both killed", Agent::kill_dataplane_and_control, start_again);
    asking.ask(&mut agent, "control told to stop", terminate, start_again);
    let both = |agent: &mut Agent<'_>| {
        stop_dataplane(agent);
        terminate(agent);
    };
    asking.ask(&mut agent, "data plane stopped and control told to stop", both, start_again);
    connecting(lab, &agent);
    asking.ask(&mut agent, "at the end", nothing, nothing);
    println!("{}", Cost::of_agent(&agent));
}

/// Sessions on their way when the data plane dies arrive all the same.
fn connecting(lab: &Lab, agent: &Agent<'_>) {
    let gateway = lab.gateway(4);
    let crowd = Crowd::new(agent, &gateway, MUTE, CONNECTING);
    crowd.far_ends.set_mute(true);
    thread::scope(|scope| {
        let attaching = scope.spawn(|| crowd.attach(agent));
        // The first of them are on their way, and others wait for them.
        thread::sleep(Duration::from_secs(2));
        agent.kill_dataplane();
        thread::sleep(Duration::from_secs(1));
        crowd.far_ends.set_mute(false);
        let mut probes = attaching.join().expect("every attach succeeds");
        let silence = probes.ask(LIMIT);
        println!("data plane killed while {CONNECTING} connect: {silence}");
        assert_eq!(silence.unanswered, 0);
    });
}

fn stop_dataplane(agent: &mut Agent<'_>) {
    let pid = agent.dataplane_pid().expect("a data plane runs");
    kill(Pid::from_raw(pid), Signal::SIGSTOP).expect("stop the data plane");
}

fn terminate(agent: &mut Agent<'_>) {
    let start = Instant::now();
    assert!(agent.terminate(STOP).success());
    println!("  SIGTERM obeyed in {:.1?}", start.elapsed());
}

impl Asking {
    /// Asks in all containers from when `harm` is done on, beside `then`, and shows how long each
    /// was silent.
    fn ask<'a>(
        &mut self,
        agent: &mut Agent<'a>,
        what: &str,
        harm: impl FnOnce(&mut Agent<'a>),
        then: impl FnOnce(&mut Agent<'a>),
    ) {
        let Self { wireguard, openvpn } = self;
        harm(agent);
        let silences = thread::scope(|scope| {
            // An openvpn whose agent was killed may still answer once before it ends.
            let asked = [wireguard, openvpn].map(|probes| {
                scope.spawn(|| {
                    let first = probes.ask(LIMIT);
                    thread::sleep(PAUSE.saturating_sub(first.percentile(100)));
                    first.or_longer(probes.ask(LIMIT))
                })
            });
            then(agent);
            asked.map(|asked| asked.join().expect("it is asked"))
        });
        for (kind, silence) in ["WireGuard", "OpenVPN"].into_iter().zip(&silences) {
            println!("{what}: {kind} {silence}");
        }
        assert!(silences.iter().all(|silence| silence.unanswered == 0), "{what}");
    }
}

/// An OpenVPN server with the internet behind it.
struct Server {
    far_end: OpenvpnServer,
    number: u16,
    _gateway: Gateway,
    _internet: Internet,
}

impl Server {
    fn start(lab: &Lab, number: u16) -> Self {
        let gateway = lab.gateway(u8::try_from(number + 1).expect("few servers"));
        let more = "keepalive 10 60\n".to_owned();
        let options = Options { more, ..Options::default() };
        let far_end = OpenvpnServer::start(&gateway, options);
        let internet = Internet::behind(&gateway);
        Self { far_end, number, _gateway: gateway, _internet: internet }
    }
}

fn openvpn_sessions(agent: &Agent<'_>, servers: &[Server], count: u16) -> Vec<Container> {
    let gateways: Vec<_> = servers
        .iter()
        .map(|server| {
            json!({
                "id": gateway_id(OPENVPN + server.number),
                "provider": "ovpn",
                "name": format!("server{}", server.number),
                "config": server.far_end.profile(),
            })
        })
        .collect();
    agent.apply(&json!({
        "provider": [{ "name": "ovpn", "type": "openvpn" }],
        "gateway": gateways,
        "mapping": [{ "provider": "ovpn", "group": GROUP }],
        "credential": [{
            "provider": "ovpn",
            "name": "crowd",
            "group": GROUP,
            "username": USERNAME,
            "password": PASSWORD,
        }],
    }));
    let numbers: Vec<_> = (0..count).collect();
    let containers = each(&numbers, |number| Container::named(&format!("o-{number}")));
    attach(agent, &containers, |place| {
        gateway_id(OPENVPN + u16::try_from(place).expect("a u16") / POOL)
    });
    containers
}

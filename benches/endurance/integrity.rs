//! Much data arrives as it was sent, through each far end, with bursts of each size and with
//! another client in the agent's place; and how often TCP had to repeat itself.

use std::env;
use std::io;
use std::time::Instant;

use crate::harness::internet::fill_digest;
use crate::harness::lab::in_lab;
use crate::harness::namespace::Namespace;
use crate::harness::wireguard_peer::Program;
use crate::harness::world::World;
use crate::load::{download, upload_controlled};
use crate::process::{Segments, cpu_seconds, udp_overflows};
use crate::rival::Rival;
use crate::setting;

const BURSTS: [u16; 4] = [8, 16, 32, 64];
const PROGRAMS: [(&str, Program); 2] =
    [("wireguard-go", Program::WireguardGo), ("boringtun", Program::Boringtun)];
/// What nearly every container has. BBR takes losses for no reason to send less.
const CONTROLS: &str = "cubic bbr";

/// One way through one tunnel.
struct Way {
    name: &'static str,
    is_up: bool,
    carry: fn(u64, &str) -> io::Result<[u8; 32]>,
}

const WAYS: [Way; 2] = [
    Way { name: "up", is_up: true, carry: upload_controlled },
    Way { name: "down", is_up: false, carry: |length, _| download(length) },
];

/// What is sent, what has to arrive, and TCP's congestion control.
struct Load<'a> {
    length: u64,
    digest: [u8; 32],
    control: &'a str,
}

/// Who carries it.
struct Carrier<'a> {
    name: String,
    inside: &'a Namespace,
    pid: i32,
}

pub fn run() {
    let length = u64::from(setting("MEGABYTES", 1000)) * 1_000_000;
    let digest = fill_digest(length);
    let named = |name, default: &str| env::var(name).unwrap_or_else(|_| default.to_owned());
    let (far_end, rival) =
        (named("EGRESS_FAR_END", PROGRAMS[0].0), named("EGRESS_RIVAL", PROGRAMS[0].0));
    // The other is in this program, whatever the environment names.
    let programs = if far_end == PROGRAMS[0].0 { &PROGRAMS[..] } else { &PROGRAMS[..1] };
    for (name, program) in programs {
        let name = if *program == Program::WireguardGo { &far_end } else { *name };
        println!("{length} bytes each way to {name}; SHA-256 compared. The rival is {rival}");
        println!(
            "TCP   | client   | way  | Gbit/s | CPU-s/GB | repeated | lost there | dropped here"
        );
        for control in named("CONTROLS", CONTROLS).split_whitespace() {
            let load = Load { length, digest, control };
            for burst in BURSTS {
                with_the_agent(*program, burst, &load);
            }
            with_another(*program, &rival, &load);
        }
    }
}

fn with_the_agent(program: Program, burst: u16, load: &Load<'_>) {
    in_lab(|lab| {
        let world = World::with(lab, 1, program, &format!("[wireguard]\nburst = {burst}\n"));
        let (container, _) = world.attached("c-1");
        let pid = world.agent.dataplane_pid().expect("a data plane runs");
        let name = format!("ours, {burst}");
        carry(&world, &Carrier { name, inside: container.namespace(), pid }, load);
    });
}

fn with_another(program: Program, rival: &str, load: &Load<'_>) {
    in_lab(|lab| {
        let world = World::with(lab, 1, program, "");
        let rival = Rival::start(lab, &world, rival);
        let name = "rival".to_owned();
        carry(&world, &Carrier { name, inside: &rival.namespace, pid: rival.pid() }, load);
    });
}

fn carry(world: &World<'_>, carrier: &Carrier<'_>, load: &Load<'_>) {
    let far = &world.gateway.namespace;
    far.ip(&format!("route replace 10.77.0.0/16 dev wg0 congctl {}", load.control));
    for way in WAYS {
        let sender = if way.is_up { carrier.inside } else { far };
        let drops = || world.agent.metric("egress_session_dropped_packets_total", &[]);
        let (before, lost, dropped) = (Segments::sent(sender), udp_overflows(far), drops());
        let (cpu, start) = (cpu_seconds(carrier.pid), Instant::now());
        let digest = carrier.inside.run(|| (way.carry)(load.length, load.control));
        let took = start.elapsed().as_secs_f64();
        assert_eq!(digest.expect("the stream lasts"), load.digest, "{}: not as sent", way.name);
        #[allow(clippy::cast_precision_loss, reason = "it is shown with three digits")]
        let gigabytes = load.length as f64 / 1e9;
        println!(
            "{:5} | {:8} | {:4} | {:6.2} | {:8.2} | {:7.3}% | {:10} | {}",
            load.control,
            carrier.name,
            way.name,
            gigabytes * 8.0 / took,
            (cpu_seconds(carrier.pid) - cpu) / gigabytes,
            100.0 * (Segments::sent(sender) - before).share_repeated(),
            udp_overflows(far) - lost,
            drops() - dropped,
        );
    }
}

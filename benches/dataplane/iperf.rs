//! `iperf3`: streams and floods between a container and the gateway.

use std::process::Command;
use std::time::Duration;

use serde_json::Value;

use crate::harness::lab::SERVER_V4;
use crate::harness::namespace::Namespace;
use crate::harness::process::Process;

/// Of a run: its beginning, its end, and what is under way then.
const MARGIN_S: u32 = 15;
/// A server of a whole scene.
const SERVER_S: u32 = 900;
const TRIES: u32 = 40;
const PAUSE: Duration = Duration::from_millis(50);

/// Which way the data goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// From the container.
    Up,
    /// To it.
    Down,
}

/// What is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Load {
    /// So many streams.
    Tcp(u32),
    /// As many datagrams of this many bytes as the sender can make.
    Udp(u32),
    /// Datagrams of this many bytes, and so many a second: fewer than any of the peers carries.
    Paced(u32, u32),
}

/// What arrived.
#[derive(Debug, Clone, Copy)]
pub struct Carried {
    /// Bytes of payload.
    pub bytes: f64,
    /// Of the receiver's clock.
    pub seconds: f64,
    /// TCP segments that were sent again.
    pub repeated: f64,
    /// Datagrams that did not arrive, of all that were sent.
    pub lost_share: f64,
    /// Datagrams that arrived behind a later one.
    pub late: f64,
}

/// Starts the server behind a gateway.
pub fn serve(namespace: &Namespace) -> Process {
    let mut command = namespace.command("timeout");
    command.args([&SERVER_S.to_string(), "iperf3", "--server"]);
    // Over UDP it would answer from another address than was asked.
    Process::start(command.args(["--bind", &SERVER_V4.to_string()]))
}

/// Carries a load for so many seconds; `Err` is what iperf3 complains of.
pub fn run(inside: &Namespace, load: Load, way: Way, seconds: u32) -> Result<Carried, String> {
    let mut answer = Err(String::new());
    for _ in 0..TRIES {
        answer =
            once(&mut command(inside, load, way, seconds)).map(|report| carried(&report, load));
        match &answer {
            // The server is about to start, or to end the run before.
            Err(error) if error.contains("refused") || error.contains("busy") => {
                std::thread::sleep(PAUSE);
            }
            Err(_) | Ok(_) => break,
        }
    }
    answer
}

fn command(inside: &Namespace, load: Load, way: Way, seconds: u32) -> Command {
    let mut command = inside.command("timeout");
    let server = SERVER_V4.to_string();
    command.args([&(seconds + MARGIN_S).to_string(), "iperf3", "--json", "--client", &server]);
    command.args(["--time", &seconds.to_string()]);
    match load {
        // Not the machine's own choice, which may be one that does not mind losses.
        Load::Tcp(streams) => {
            command.args(["--parallel", &streams.to_string(), "--congestion", "cubic"])
        }
        Load::Udp(length) => {
            command.args(["--udp", "--bitrate", "0", "--length", &length.to_string()])
        }
        Load::Paced(length, rate) => {
            let bitrate = (length * 8 * rate).to_string();
            command.args(["--udp", "--bitrate", &bitrate, "--length", &length.to_string()])
        }
    };
    if way == Way::Down {
        command.arg("--reverse");
    }
    command
}

fn once(command: &mut Command) -> Result<Value, String> {
    let output = command.output().expect("run iperf3; scripts/setup bench installs it");
    let report: Value = serde_json::from_slice(&output.stdout)
        .map_err(|error| format!("iperf3 ended with {} and no report: {error}", output.status))?;
    match report["error"].as_str() {
        Some(error) => Err(error.to_owned()),
        None => Ok(report),
    }
}

fn carried(report: &Value, load: Load) -> Carried {
    let end = &report["end"];
    let number = |value: &Value| value.as_f64().unwrap_or_default();
    let received = &end["sum_received"];
    let streams = end["streams"].as_array().map(Vec::as_slice).unwrap_or_default();
    let late = streams.iter().map(|stream| number(&stream["udp"]["out_of_order"])).sum();
    let is_udp = !matches!(load, Load::Tcp(_));
    Carried {
        bytes: number(&received["bytes"]),
        seconds: number(&received["seconds"]),
        repeated: number(&end["sum_sent"]["retransmits"]),
        lost_share: if is_udp { number(&end["sum"]["lost_percent"]) / 100.0 } else { 0.0 },
        late,
    }
}

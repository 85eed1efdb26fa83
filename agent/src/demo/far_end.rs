//! The far end of the tunnel: the distribution's `wireguard-go`, in the gateway.

use std::net::SocketAddrV4;
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use egress_core::secret::Secret;
use rustix::process::{Pid, Signal, kill_process};

use super::stage::{GATEWAY, Place, answer, feed};
use super::{Error, failed};

/// Where it listens.
pub const ENDPOINT: SocketAddrV4 = SocketAddrV4::new(GATEWAY, 51820);
/// The address that it gives to its client.
pub const CLIENT: &str = "10.77.0.2/32";

const DEVICE: &str = "wg0";
const START: Duration = Duration::from_secs(5);

/// A running far end.
#[derive(Debug)]
pub struct FarEnd {
    process: Child,
    /// Its public key.
    pub public_key: String,
    /// The private key of its only client.
    pub client_key: Secret<String>,
}

impl FarEnd {
    /// Starts it with keys made for this once.
    pub fn start(gateway: Place) -> Result<Self, Error> {
        let (key, public_key) = key_pair()?;
        let (client_key, client_public_key) = key_pair()?;
        let mut program = gateway.command("wireguard-go");
        program.args(["-f", DEVICE]).env("LOG_LEVEL", "silent").env("WG_PROCESS_FOREGROUND", "1");
        program.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let process = program.spawn().map_err(failed("start wireguard-go"))?;
        let far_end = Self { process, public_key, client_key };
        configure(gateway, &key, &client_public_key)?;
        gateway.ip(&format!("addr add 10.77.0.1/24 dev {DEVICE}\nlink set {DEVICE} up\n"))?;
        hide_clients_behind_the_gateway(gateway)?;
        Ok(far_end)
    }

    /// Freezes it: packets still arrive, and nobody answers.
    pub fn cut(&self) -> Result<(), Error> {
        self.signal(Signal::STOP)
    }

    /// Lets it go on.
    pub fn restore(&self) -> Result<(), Error> {
        self.signal(Signal::CONT)
    }

    /// Ends it.
    pub fn stop(mut self) -> Result<(), Error> {
        self.process.kill().map_err(failed("end wireguard-go"))?;
        self.process.wait().map_err(failed("wait for wireguard-go"))?;
        Ok(())
    }

    fn signal(&self, signal: Signal) -> Result<(), Error> {
        let pid = Pid::from_child(&self.process);
        kill_process(pid, signal).map_err(failed("signal wireguard-go"))
    }
}

/// Gives it its key and its client as soon as it listens.
fn configure(gateway: Place, key: &Secret<String>, client_public_key: &str) -> Result<(), Error> {
    let port = ENDPOINT.port().to_string();
    let given_up = Instant::now() + START;
    loop {
        let mut wg = gateway.command("wg");
        wg.args(["set", DEVICE, "listen-port", &port, "private-key", "/dev/stdin"]);
        wg.args(["peer", client_public_key, "allowed-ips", CLIENT]);
        match feed(&mut wg, key.expose()) {
            Ok(()) => return Ok(()),
            Err(_) if Instant::now() < given_up => sleep(Duration::from_millis(20)),
            Err(error) => return Err(failed("configure wireguard-go")(error)),
        }
    }
}

/// Made by `wg`, which takes the private half on its standard input.
fn key_pair() -> Result<(Secret<String>, String), Error> {
    let private = answer(Command::new("wg").arg("genkey"), "").map_err(failed("run wg genkey"))?;
    let private = Secret::new(private.trim().to_owned());
    let public = answer(Command::new("wg").arg("pubkey"), private.expose());
    Ok((private, public.map_err(failed("run wg pubkey"))?.trim().to_owned()))
}

fn hide_clients_behind_the_gateway(gateway: Place) -> Result<(), Error> {
    let rules = "add table ip demo
        add chain ip demo leave { type nat hook postrouting priority srcnat; }
        add rule ip demo leave ip saddr 10.77.0.0/24 oifname \"world\" masquerade
        ";
    feed(gateway.command("nft").args(["-f", "-"]), rules)
        .map_err(failed("give the gateway's clients its address"))
}

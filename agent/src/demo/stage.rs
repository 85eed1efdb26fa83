//! The demo's small world: a host, a gateway, a page on the other side, a container.

use std::fs;
use std::io::Write as _;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use egress_linux::netns::{EnterError, Netns};
use rustix::mount::{MountFlags, mount};

use super::{Error, failed};

/// The host's own address.
pub const HOST: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 2);
/// The gateway, as the host sees it.
pub const GATEWAY: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
/// The gateway, as the world sees it.
pub const EXIT: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 1);
/// The page.
pub const PAGE: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 80);
/// The host's only way out.
pub const UPLINK: &str = "uplink";
/// The container's namespace.
pub const CONTAINER: &str = "container";

const NETNS_DIR: &str = "/run/netns";

/// A named namespace of the demo.
#[derive(Debug, Clone, Copy)]
pub struct Place(&'static str);

/// Every place but the host, which is where the calling thread is.
#[derive(Debug)]
pub struct Stage {
    /// Where the far end of tunnels runs, and what the host is routed by.
    pub gateway: Place,
    /// Where the page is.
    pub page: Place,
    /// What is attached: a namespace with nothing but loopback.
    pub container: Place,
}

impl Stage {
    /// Builds it. The calling process has namespaces of its own for network and mounts.
    pub fn build() -> Result<Self, Error> {
        let flags = MountFlags::NOSUID | MountFlags::NODEV;
        mount("demo", "/run", "tmpfs", flags, c"mode=0755").map_err(failed("cover /run"))?;
        let stage = Self {
            gateway: Place::add("gateway")?,
            page: Place::add("page")?,
            container: Place::add(CONTAINER)?,
        };
        stage.connect()?;
        Ok(stage)
    }

    fn connect(&self) -> Result<(), Error> {
        ip(
            &[],
            &format!(
                "link set lo up
                 link add {UPLINK} type veth peer name host netns gateway
                 link set {UPLINK} addrgenmode none
                 addr add {HOST}/24 dev {UPLINK}
                 link set {UPLINK} up
                 route add default via {GATEWAY}
                "
            ),
        )?;
        self.gateway.ip(&format!(
            "link set host addrgenmode none
             addr add {GATEWAY}/24 dev host
             link set host up
             link add world type veth peer name world netns page
             addr add {EXIT}/24 dev world
             link set world up
            "
        ))?;
        self.page.ip(&format!(
            "addr add {PAGE}/24 dev world
             link set world up
             route add {HOST}/32 via {EXIT}
            "
        ))?;
        self.gateway
            .run(|| fs::write("/proc/sys/net/ipv4/ip_forward", "1"))?
            .map_err(failed("let the gateway forward"))
    }
}

impl Place {
    fn add(name: &'static str) -> Result<Self, Error> {
        ip(&["netns", "add", name], "")?;
        let place = Self(name);
        place.ip("link set lo up\n")?;
        Ok(place)
    }

    /// Its file.
    pub fn path(self) -> PathBuf {
        Path::new(NETNS_DIR).join(self.0)
    }

    /// Does `work` inside. Sockets that it makes stay there.
    pub fn run<T: Send>(self, work: impl FnOnce() -> T + Send) -> Result<T, Error> {
        let entered = Netns::open_path(&self.path(), &[NETNS_DIR.into()])
            .map_err(failed(format!("open the namespace {}", self.0)))?
            .run(work);
        entered.map_err(|error: EnterError| failed(format!("work in {}", self.0))(error))
    }

    /// A command that runs inside.
    pub fn command(self, program: &str) -> Command {
        let mut command = Command::new("nsenter");
        command.arg(format!("--net={}", self.path().display())).arg("--").arg(program);
        command
    }

    /// Runs lines of `ip` inside.
    pub fn ip(self, lines: &str) -> Result<(), Error> {
        ip(&["-n", self.0, "-batch", "-"], lines)
    }

    /// Takes the namespace's name away; it ends when nothing of it is in use.
    pub fn remove(self) -> Result<(), Error> {
        ip(&["netns", "delete", self.0], "")
    }
}

fn ip(arguments: &[&str], lines: &str) -> Result<(), Error> {
    let arguments = if arguments.is_empty() { &["-batch", "-"] } else { arguments };
    let mut command = Command::new("ip");
    feed(command.args(arguments), lines).map_err(failed(format!("run ip {}", arguments.join(" "))))
}

/// Runs a command to its end with `text` as its input; what it complains about is the error.
pub fn feed(
    command: &mut Command,
    text: &str,
) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    answer(command, text).map(|_| ())
}

/// Runs a command to its end with `text` as its input and gives what it wrote.
pub fn answer(
    command: &mut Command,
    text: &str,
) -> Result<String, Box<dyn std::error::Error + Send + Sync>> {
    let (input, output, errors) = (Stdio::piped(), Stdio::piped(), Stdio::piped());
    let mut child = command.stdin(input).stdout(output).stderr(errors).spawn()?;
    // Dropped at the end of the statement: the command reads to the end of its input.
    child.stdin.take().expect("its input is piped").write_all(text.as_bytes())?;
    let output = child.wait_with_output()?;
    if output.status.success() {
        return Ok(String::from_utf8(output.stdout)?);
    }
    Err(String::from_utf8_lossy(&output.stderr).trim().into())
}

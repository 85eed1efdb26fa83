//! The machine that the demo runs on: asked before and after, never changed.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use egress_linux::link;

use super::stage::answer;
use super::{Error, expect, failed, screen};

/// The programs that the demo needs, each with its package.
const PROGRAMS: [(&str, &str); 6] = [
    ("ip", "iproute2"),
    ("nft", "nftables"),
    ("wireguard-go", "wireguard-go"),
    ("wg", "wireguard-tools"),
    ("unshare", "util-linux"),
    ("nsenter", "util-linux"),
];
/// Where Debian has some of them, and where not everybody looks.
const MORE_PATHS: &str = "/usr/local/sbin:/usr/sbin:/sbin";
/// What the demo has on its stage, and what must not be here after it: others may come and go.
const LINKS: [&str; 5] = ["uplink", "host", "world", "wg0", "eg0"];
const NAMESPACES: [&str; 3] = ["gateway", "page", "container"];
const TABLES: [&str; 2] = ["table inet egress_agent", "table ip demo"];
const FILES: [&str; 4] =
    ["/run/egress-agent", "/run/wireguard", "/run/state", "/var/lib/egress-agent"];

/// Plays the demo on a stage of its own, and looks whether it left anything here.
pub fn watch_over_a_stage() -> Result<(), Error> {
    must_be_root()?;
    let path = search_path();
    must_have_programs(&path)?;
    let before = traces(&path)?;
    let stage = stage(&path)?.status().map_err(failed("run unshare"))?;
    if !stage.success() {
        return Err(Error::Told);
    }
    let after = traces(&path)?;
    let left: Vec<_> = after.difference(&before).cloned().collect();
    expect(left.is_empty(), || format!("nothing to be left here, but found {}", left.join(", ")))?;
    screen::line("left on this machine", "no namespace, link, rule, process or file");
    Ok(())
}

fn must_be_root() -> Result<(), Error> {
    if rustix::process::geteuid().is_root() {
        return Ok(());
    }
    Err(Error::Needs("it works in namespaces of its own, which takes root: try sudo".to_owned()))
}

fn search_path() -> String {
    let path = std::env::var("PATH").unwrap_or_default();
    format!("{path}:{MORE_PATHS}")
}

fn must_have_programs(path: &str) -> Result<(), Error> {
    let there = |program| path.split(':').any(|dir| Path::new(dir).join(program).is_file());
    let missing: BTreeSet<_> = PROGRAMS
        .iter()
        .filter(|(program, _)| !there(program))
        .map(|(_, package)| *package)
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    let packages = missing.into_iter().collect::<Vec<_>>().join(" ");
    Err(Error::Needs(format!("some programs are missing: apt-get install {packages}")))
}

/// This program again, as the first process of namespaces of its own: network, mounts, processes.
/// The kernel ends all of them with it, and it with us.
fn stage(path: &str) -> Result<Command, Error> {
    let program = std::env::current_exe().map_err(failed("find this program"))?;
    let mut command = Command::new("setpriv");
    command.env("PATH", path);
    command.args(["--pdeathsig", "KILL", "--"]);
    command.args(["unshare", "--net", "--mount", "--pid", "--fork", "--kill-child"]);
    command.args(["--mount-proc", "--"]).arg(program).args(["demo", "--on-stage"]);
    Ok(command)
}

/// What there is on this machine of all that the demo makes.
fn traces(path: &str) -> Result<BTreeSet<String>, Error> {
    let links = link::links().map_err(failed("list this machine's links"))?;
    let links = links.into_iter().map(|link| link.name);
    let links = links.filter(|name| LINKS.contains(&name.as_str()));
    let tables = tables(path)?;
    let tables = TABLES.into_iter().filter(|table| tables.lines().any(|line| line == *table));
    let namespaces = NAMESPACES.into_iter().map(|name| format!("/run/netns/{name}"));
    let files = FILES.into_iter().map(str::to_owned).chain(namespaces);
    let mut found: BTreeSet<_> = links.map(|name| format!("the link {name}")).collect();
    found.extend(tables.map(|table| format!("the {table}")));
    found.extend(files.filter(|path| Path::new(path).exists()));
    Ok(found)
}

fn tables(path: &str) -> Result<String, Error> {
    let mut nft = Command::new("nft");
    nft.env("PATH", path).args(["list", "tables"]);
    answer(&mut nft, "").map_err(failed("list this machine's nft tables"))
}

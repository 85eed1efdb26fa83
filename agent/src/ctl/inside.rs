//! `exec`, the inner half: leaves the host's network, attaches itself, becomes the command.

use std::collections::BTreeMap;
use std::fs;
use std::iter;
use std::net::IpAddr;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, id};

use egress_core::api::{AttachRequest, ContainmentProfile, NetnsRef, SessionView};
use egress_linux::resolv::in_private_mounts_with_resolv_conf;
use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use nix::unistd::{getegid, geteuid, setgid, setgroups, setuid};

use super::arguments::Exec;
use super::ask::gateway;
use super::caller::Caller;
use super::failure::Failure;
use crate::control::client::Client;

/// Sockets at which the host resolves names for whoever asks, past the tunnel.
const HOST_RESOLVERS: [&str; 4] = [
    "/run/nscd/socket",
    "/run/systemd/resolve/io.systemd.Resolve",
    "/run/systemd/resolve/io.systemd.Resolve.Monitor",
    "/run/avahi-daemon/socket",
];

/// Becomes the command; comes back only to say why not. There must be no other thread.
///
/// The namespaces keep the command from leaving but by the tunnel. Not against root: whoever has
/// the host's root has its other namespaces too.
pub fn enter(client: &Client, exec: &Exec) -> Failure {
    match prepare(client, exec) {
        Ok(environment) => become_command(exec, environment),
        Err(failure) => failure,
    }
}

/// Gives the environment that the command gets on top of our own.
fn prepare(client: &Client, exec: &Exec) -> Result<BTreeMap<String, String>, Failure> {
    // Looked up while the host's directory services can be reached.
    let caller = if exec.keep_root { None } else { Caller::behind_root() };
    leave_network()?;
    let session = super::wait(attach(client, exec))?;
    let text = resolv_conf(&session.dns, &session.search);
    in_private_mounts_with_resolv_conf(&text).map_err(|error| {
        Failure::system("use the tunnel's resolvers", std::io::Error::other(error))
    })?;
    hide_host_resolvers()?;
    let mut environment = session.environment;
    if let Some(caller) = caller {
        become_user(&caller)?;
        environment.extend(caller.environment);
    }
    Ok(environment)
}

async fn attach(client: &Client, exec: &Exec) -> Result<SessionView, Failure> {
    let Some(session_id) = exec.session.clone() else {
        return Err(Failure::Usage("the inner half of exec needs --session".to_owned()));
    };
    let request = AttachRequest {
        session_id,
        netns: NetnsRef::Pid(i32::try_from(id()).expect("Linux has no greater process ids")),
        subject: exec.subject.subject(),
        gateway: Some(gateway(client, &exec.gateway).await?),
        profile: ContainmentProfile::Sealed,
        deadline_ms: exec.deadline.deadline * 1_000,
        challenge_response: None,
    };
    Ok(client.attach(&request).await?.session)
}

/// Into a network namespace of our own. Who is not root gets a user namespace around it, with
/// nobody but itself in it.
fn leave_network() -> Result<(), Failure> {
    let failed = |errno| Failure::system("make a network namespace", errno);
    let (uid, gid) = (geteuid(), getegid());
    if uid.is_root() {
        return unshare(CloneFlags::CLONE_NEWNET).map_err(failed);
    }
    unshare(CloneFlags::CLONE_NEWUSER | CloneFlags::CLONE_NEWNET).map_err(failed)?;
    let write = |file: &str, text: String| {
        fs::write(Path::new("/proc/self").join(file), text)
            .map_err(|source| Failure::system(format!("write /proc/self/{file}"), source))
    };
    write("setgroups", "deny".to_owned())?;
    write("uid_map", format!("{uid} {uid} 1"))?;
    write("gid_map", format!("{gid} {gid} 1"))
}

fn resolv_conf(dns: &[IpAddr], search: &[String]) -> String {
    let comment = "# The tunnel's resolvers: nothing else answers here.\n".to_owned();
    let servers = dns.iter().map(|address| format!("nameserver {address}\n"));
    let search = match search {
        [] => None,
        domains => Some(format!("search {}\n", domains.join(" "))),
    };
    iter::once(comment).chain(servers).chain(search).collect()
}

/// Puts something that nobody can connect to in the place of each host resolver's socket, in
/// mounts that are ours alone already.
fn hide_host_resolvers() -> Result<(), Failure> {
    let none: Option<&str> = None;
    for socket in HOST_RESOLVERS.into_iter().filter(|socket| Path::new(socket).exists()) {
        mount(Some("/dev/null"), socket, none, MsFlags::MS_BIND, none)
            .map_err(|errno| Failure::system(format!("hide {socket}"), errno))?;
    }
    Ok(())
}

fn become_user(caller: &Caller) -> Result<(), Failure> {
    setgroups(&caller.groups)
        .and_then(|()| setgid(caller.gid))
        .and_then(|()| setuid(caller.uid))
        .map_err(|errno| Failure::system(format!("become uid {}", caller.uid), errno))
}

fn become_command(exec: &Exec, environment: BTreeMap<String, String>) -> Failure {
    let [program, arguments @ ..] = exec.command.as_slice() else {
        return Failure::Usage("say which command to run, after --".to_owned());
    };
    let error = Command::new(program).args(arguments).envs(environment).exec();
    Failure::Run { program: program.display().to_string(), source: error }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_tunnels_resolvers_are_named() {
        let dns = ["10.7.0.1".parse().unwrap(), "fd00::1".parse().unwrap()];
        let text = resolv_conf(&dns, &["a.example".to_owned(), "b.example".to_owned()]);
        let lines: Vec<_> = text.lines().skip(1).collect();
        let wanted = ["nameserver 10.7.0.1", "nameserver fd00::1", "search a.example b.example"];
        assert_eq!(lines, wanted);
        assert_eq!(resolv_conf(&[], &[]).lines().count(), 1);
    }
}

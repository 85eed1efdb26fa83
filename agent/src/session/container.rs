//! Opening a container's namespace, and finding the same one again later.

use std::fmt::Write as _;
use std::io::ErrorKind;
use std::os::fd::BorrowedFd;
use std::path::PathBuf;
use std::sync::Arc;

use egress_core::api::{Code, NetnsRef, Refusal};
use egress_core::fault::Finding;
use egress_linux::netns::{Netns, OpenError};
use egress_linux::process::PidFd;
use tokio::task::spawn_blocking;

use crate::control::caller::{Caller, Identity};
use crate::telemetry::chain;

/// Opens the namespace that a caller names, if the caller may have it attached.
pub async fn open(
    netns: &NetnsRef,
    roots: &[PathBuf],
    caller: &Caller,
) -> Result<Arc<Netns>, Refusal> {
    let (netns, roots, identity) = (netns.clone(), roots.to_vec(), caller.identity.clone());
    let opened = spawn_blocking(move || match &netns {
        NetnsRef::Path(path) => {
            Netns::open_path(path, &roots).map_err(|error| refused_path(&error, &roots))
        }
        NetnsRef::Pid(pid) => match identity {
            Identity::Process { uid, .. } => open_pid(*pid, uid),
            Identity::Certificate { .. } => Err(not_from_elsewhere()),
        },
    });
    opened.await.unwrap_or_else(|_| Err(broken())).map(Arc::new)
}

fn open_pid(pid: i32, caller: u32) -> Result<Netns, Refusal> {
    let number = u32::try_from(pid).map_err(|_| not_a_process(pid))?;
    let (netns, process) = Netns::open_pid(number).map_err(|error| refusal(&error))?;
    if caller == 0 || owner(&process) == Some(caller) {
        return Ok(netns);
    }
    let detail = format!("process {pid} is not one that uid {caller} could send a signal to");
    Err(Refusal::new(Code::Forbidden, detail))
}

/// A process number from another host may be anybody's here by now.
fn not_from_elsewhere() -> Refusal {
    let message = "expected a path: over TCP no process can be named";
    let fault = Finding::fault(message).about("netns.pid");
    let detail = "whoever names a process must be able to send it a signal, which nobody can who \
                  calls over TCP: name the namespace by its path";
    Refusal::new(Code::NetnsInvalid, detail).with_faults(vec![fault])
}

fn not_a_process(pid: i32) -> Refusal {
    let fault = Finding::fault("expected the id of a process, at least 1").about("netns.pid");
    Refusal::new(Code::NetnsInvalid, format!("{pid} is not a process id")).with_faults(vec![fault])
}

fn owner(process: &PidFd) -> Option<u32> {
    process.process_uid().ok()
}

/// The namespace that a session is in, by its device or by the way it came; `None` when it is
/// gone, or when another one is there in its place.
pub async fn find(
    device: Option<BorrowedFd<'_>>,
    netns: &NetnsRef,
    roots: &[PathBuf],
    cookie: u64,
) -> Option<Arc<Netns>> {
    let device = device.and_then(|device| device.try_clone_to_owned().ok());
    let (netns, roots) = (netns.clone(), roots.to_vec());
    let found = spawn_blocking(move || {
        let by_device = device.and_then(|device| Netns::of_device(device).ok());
        by_device.filter(|netns| netns.cookie() == cookie).or_else(|| {
            let by_reference = match &netns {
                NetnsRef::Path(path) => Netns::open_path(path, &roots).ok(),
                NetnsRef::Pid(pid) => u32::try_from(*pid)
                    .ok()
                    .and_then(|pid| Netns::open_pid(pid).ok())
                    .map(|(netns, _)| netns),
            };
            by_reference.filter(|netns| netns.cookie() == cookie)
        })
    });
    found.await.ok().flatten().map(Arc::new)
}

fn refused_path(error: &OpenError, roots: &[PathBuf]) -> Refusal {
    let mut refusal = refusal(error);
    if matches!(error, OpenError::Outside { .. }) {
        let roots: Vec<_> = roots.iter().map(|root| root.display().to_string()).collect();
        let roots = roots.join(" and ");
        let _ = write!(
            refusal.detail,
            "; a namespace named by its path is below {roots} (sessions.netns_roots in agent.toml)"
        );
    }
    refusal
}

fn refusal(error: &OpenError) -> Refusal {
    let (code, field) = match error {
        OpenError::Outside { .. }
        | OpenError::Symlink { .. }
        | OpenError::NotNamespace { .. }
        | OpenError::WrongType { .. } => (Code::NetnsInvalid, "netns"),
        OpenError::IsHost { .. } => (Code::NetnsIsHost, "netns"),
        OpenError::Gone { .. } => (Code::NetnsGone, "netns"),
        OpenError::Io { source, .. } if is_no_path(source) => (Code::NetnsInvalid, "netns"),
        OpenError::Io { .. } | OpenError::Enter { .. } => (Code::Internal, "netns"),
    };
    let detail = chain(error);
    Refusal::new(code, detail.clone()).with_faults(vec![Finding::fault(detail).about(field)])
}

/// Too long, or with a NUL in it.
fn is_no_path(error: &std::io::Error) -> bool {
    matches!(error.kind(), ErrorKind::InvalidFilename | ErrorKind::InvalidInput)
}

/// The refusal where a thread of ours died.
pub fn broken() -> Refusal {
    Refusal::new(Code::Internal, "a step of the attach broke off; the agent's log has more")
}

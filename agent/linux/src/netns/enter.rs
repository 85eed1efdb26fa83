//! Being inside a network namespace for a moment.

use std::{
    any::Any,
    fs::File,
    io,
    os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd},
    thread,
};

use nix::sched::{CloneFlags, unshare};
use rustix::{
    net::{AddressFamily, SocketType, socket},
    thread::{LinkNameSpaceType, move_into_link_name_space},
};

/// A network namespace that is not the host's.
///
/// Keeps it alive, and with it every device inside, after its container is gone: hold it as long
/// as something is being set up and no longer.
#[derive(Debug)]
pub struct Netns {
    fd: OwnedFd,
    cookie: u64,
}

impl Netns {
    /// Makes an empty one, with a `lo` that is down.
    pub fn create() -> Result<Netns, EnterError> {
        let fd = on_thread(|| {
            unshare(CloneFlags::CLONE_NEWNET).map_err(io::Error::from)?;
            File::open("/proc/thread-self/ns/net")
        })?;
        Netns::from_fd(fd.map_err(EnterError::Enter)?.into())
    }

    pub(super) fn from_fd(fd: OwnedFd) -> Result<Netns, EnterError> {
        let cookie = enter(fd.as_fd(), own_cookie)?.map_err(EnterError::Cookie)?;
        Ok(Netns { fd, cookie })
    }

    /// Its identity: unlike the inode never used twice while the machine is up.
    pub fn cookie(&self) -> u64 {
        self.cookie
    }

    /// Calls `f` inside, on a thread that ends with it. Sockets that `f` makes stay inside for
    /// ever, processes that it starts too. A panic of `f` becomes an error.
    pub fn run<T: Send>(&self, f: impl FnOnce() -> T + Send) -> Result<T, EnterError> {
        enter(self.fd.as_fd(), f)
    }
}

impl AsFd for Netns {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// Why a namespace could not be worked in.
#[derive(Debug, thiserror::Error)]
pub enum EnterError {
    /// The process has too many threads already.
    #[error("start a thread for a network namespace")]
    Thread(#[source] io::Error),
    /// `setns` or `unshare` refused.
    #[error("enter a network namespace")]
    Enter(#[source] io::Error),
    /// The kernel did not tell it, as before Linux 5.14.
    #[error("read the cookie of a network namespace")]
    Cookie(#[source] io::Error),
    /// The closure panicked.
    #[error("work in a network namespace panicked: {0}")]
    Panicked(String),
}

/// Changes with every boot of the machine, so that cookies of another boot are known as such.
pub fn boot_id() -> io::Result<String> {
    Ok(std::fs::read_to_string("/proc/sys/kernel/random/boot_id")?.trim().to_owned())
}

/// The cookie of the namespace that the calling thread is in.
pub fn own_cookie() -> io::Result<u64> {
    let probe = socket(AddressFamily::UNIX, SocketType::DGRAM, None)?;
    let mut cookie = 0u64;
    let mut bytes = libc::socklen_t::try_from(size_of_val(&cookie)).expect("8 bytes");
    // SAFETY: the kernel writes at most `bytes` bytes to `cookie`, which has that many and may
    // have any value, and their number to `bytes`.
    let result = unsafe {
        libc::getsockopt(
            probe.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_NETNS_COOKIE,
            (&raw mut cookie).cast(),
            &raw mut bytes,
        )
    };
    if result == 0 { Ok(cookie) } else { Err(io::Error::last_os_error()) }
}

fn enter<T: Send>(fd: BorrowedFd<'_>, f: impl FnOnce() -> T + Send) -> Result<T, EnterError> {
    on_thread(|| {
        // The type is passed because systemd's RestrictNamespaces= refuses a setns without one.
        move_into_link_name_space(fd, Some(LinkNameSpaceType::Network))?;
        Ok(f())
    })?
    .map_err(EnterError::Enter)
}

/// A thread of its own, so that no other work is ever left in a container's namespace.
fn on_thread<T: Send>(f: impl FnOnce() -> T + Send) -> Result<T, EnterError> {
    thread::scope(|scope| {
        let builder = thread::Builder::new().name("netns".to_owned());
        let thread = builder.spawn_scoped(scope, f).map_err(EnterError::Thread)?;
        thread.join().map_err(|panic| EnterError::Panicked(message(&*panic)))
    })
}

fn message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("no message").to_owned()
}

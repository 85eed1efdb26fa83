//! Named network namespaces and what runs inside them.

use std::fs::File;
use std::io::Write;
use std::os::linux::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;

use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sched::{CloneFlags, setns, unshare};

/// Where `ip netns` looks for names; private to the lab.
pub const NETNS_DIR: &str = "/run/netns";

/// A network namespace with a name in [`NETNS_DIR`], as `ip netns add` makes it. Nothing but its
/// name keeps it alive: no descriptor is held between calls.
#[derive(Debug, Clone)]
pub struct Namespace {
    name: String,
}

impl Namespace {
    /// Makes one, with loopback up.
    pub fn add(name: &str) -> Self {
        let namespace = Self { name: name.to_owned() };
        let path = namespace.path();
        File::create(&path).expect("the lab's /run/netns is writable");
        thread::scope(|scope| {
            let maker = scope.spawn(|| {
                unshare(CloneFlags::CLONE_NEWNET).expect("unshare a network namespace");
                let own = Path::new("/proc/thread-self/ns/net");
                mount(Some(own), &path, None::<&str>, MsFlags::MS_BIND, None::<&str>)
                    .expect("name a namespace");
            });
            maker.join().expect("make a namespace");
        });
        namespace.ip("link set lo up");
        namespace
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its file.
    pub fn path(&self) -> PathBuf {
        Path::new(NETNS_DIR).join(&self.name)
    }

    /// Tells it from every other namespace that lives now.
    pub fn inode(&self) -> u64 {
        std::fs::metadata(self.path()).expect("a named namespace has a file").st_ino()
    }

    /// Takes its name away. It ends when nothing inside lives.
    pub fn remove(&self) {
        umount2(&self.path(), MntFlags::MNT_DETACH).expect("unmount a namespace");
        std::fs::remove_file(self.path()).expect("remove a namespace's name");
    }

    /// Does `work` inside, on a thread of its own. Sockets and threads made there stay there.
    pub fn run<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        let file = File::open(self.path()).expect("open a namespace");
        let inside = move || {
            setns(&file, CloneFlags::CLONE_NEWNET).expect("enter a namespace");
            drop(file);
            work()
        };
        thread::scope(|scope| match scope.spawn(inside).join() {
            Ok(value) => value,
            Err(panic) => std::panic::resume_unwind(panic),
        })
    }

    /// A command that runs inside and dies with the calling thread.
    pub fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new("nsenter");
        command.arg(format!("--net={}", self.path().display()));
        command.args(["setpriv", "--pdeathsig", "KILL", "--"]).arg(program);
        command
    }

    /// Runs lines of `ip` commands inside; each must succeed.
    pub fn ip(&self, lines: &str) {
        ip_batch(Command::new("ip").args(["-n", &self.name]), lines);
    }

    /// Writes a setting below `/proc/sys/net`.
    pub fn sysctl(&self, key: &str, value: &str) {
        self.run(|| sysctl(key, value));
    }
}

/// A command that runs where the calling thread is and dies with it.
pub fn host_command(program: impl AsRef<std::ffi::OsStr>) -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "KILL", "--"]).arg(program);
    command
}

/// Runs lines of `ip` commands where the calling thread is; each must succeed.
pub fn host_ip(lines: &str) {
    ip_batch(&mut Command::new("ip"), lines);
}

/// Writes a setting below `/proc/sys/net` of the calling thread's namespace.
pub fn sysctl(key: &str, value: &str) {
    std::fs::write(Path::new("/proc/sys/net").join(key), value)
        .unwrap_or_else(|error| panic!("set {key} to {value}: {error}"));
}

fn ip_batch(command: &mut Command, lines: &str) {
    let mut child = command
        .args(["-batch", "-"])
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("start ip");
    let mut stdin = child.stdin.take().expect("stdin is piped");
    stdin.write_all(lines.as_bytes()).expect("write to ip");
    drop(stdin);
    let output = child.wait_with_output().expect("wait for ip");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "ip refused:\n{lines}\n{said}");
}

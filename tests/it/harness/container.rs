//! A container as a launcher without networking leaves it: a namespace with loopback only.

use std::time::{Duration, Instant};

use egress_core::api::NetnsRef;

use super::lab::{SERVER_V4, namespace_inode};
use super::namespace::Namespace;
use super::probe::ping;
use super::process::Process;
use super::wait;

const TRIES: usize = 500;
const SOON: Duration = Duration::from_secs(10);

/// A network namespace, and perhaps a process that lives in it.
pub struct Container {
    namespace: Namespace,
    process: Option<Process>,
}

impl Container {
    /// A namespace by name, nothing runs in it.
    pub fn named(name: &str) -> Self {
        Self { namespace: Namespace::add(name), process: None }
    }

    /// The same, with a process in it.
    pub fn with_process(name: &str) -> Self {
        let namespace = Namespace::add(name);
        let process = Process::start(namespace.command("sleep").arg("infinity"));
        Self::inhabited(namespace, process)
    }

    /// The same, with a process of this number, which nobody has.
    pub fn with_number(name: &str, number: i32) -> Self {
        let namespace = Namespace::add(name);
        for _ in 0..TRIES {
            // Where the kernel goes on counting; another process may be quicker.
            std::fs::write("/proc/sys/kernel/ns_last_pid", (number - 1).to_string())
                .expect("say where the kernel goes on counting");
            let process = Process::start(namespace.command("sleep").arg("infinity"));
            if process.pid() == number {
                return Self::inhabited(namespace, process);
            }
        }
        panic!("no process got the number {number}");
    }

    fn inhabited(namespace: Namespace, process: Process) -> Self {
        let container = Self { namespace, process: None };
        wait::until("a process has entered its namespace", SOON, || container.is_home_of(&process));
        Self { process: Some(process), ..container }
    }

    /// Whether a process is in its namespace.
    pub fn is_home_of(&self, process: &Process) -> bool {
        namespace_inode(&process.pid().to_string(), "net") == Some(self.namespace.inode())
    }

    /// Its namespace.
    pub fn namespace(&self) -> &Namespace {
        &self.namespace
    }

    /// Its namespace as a request names it by file.
    pub fn by_path(&self) -> NetnsRef {
        NetnsRef::Path(self.namespace.path())
    }

    /// Its namespace as a request names it by process.
    pub fn by_pid(&self) -> NetnsRef {
        NetnsRef::Pid(self.process.as_ref().expect("a container with a process").pid())
    }

    /// Does `work` as a process in it would, root with every capability.
    pub fn run<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        self.namespace.run(work)
    }

    /// Names of its devices.
    pub fn devices(&self) -> Vec<String> {
        self.run(|| {
            let list = nix::net::if_::if_nameindex().expect("list devices");
            list.iter().map(|device| device.name().to_string_lossy().into_owned()).collect()
        })
    }

    /// Waits until its traffic reaches the internet, and says how long that took.
    #[track_caller]
    pub fn wait_for_traffic(&self, limit: Duration) -> Duration {
        wait::until("traffic passes", limit, || {
            self.run(|| ping(SERVER_V4.into(), Duration::from_millis(200))).is_ok()
        })
    }

    /// Whether anything comes back of what is sent for this long.
    pub fn has_traffic(&self, within: Duration) -> bool {
        let ping = || self.run(|| ping(SERVER_V4.into(), Duration::from_millis(200))).is_ok();
        let until = Instant::now() + within;
        while Instant::now() < until {
            if ping() {
                return true;
            }
        }
        false
    }

    /// Kills its process. Its name stays.
    pub fn end_process(&mut self) {
        if let Some(process) = &mut self.process {
            process.kill();
        }
    }

    /// Ends it: its process is killed, its name taken away.
    pub fn destroy(mut self) {
        self.end_process();
        self.namespace.remove();
    }
}

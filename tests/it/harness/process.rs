//! A process of the lab, killed with it.

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::wait;

/// A running program whose output is kept. Dropping it kills it.
pub struct Process {
    child: Child,
    output: Arc<Mutex<String>>,
}

impl Process {
    /// Starts a command; its standard output and error are kept together.
    pub fn start(command: &mut Command) -> Self {
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("start {command:?}: {error}"));
        let output = Arc::new(Mutex::new(String::new()));
        keep(child.stdout.take().expect("stdout is piped"), Arc::clone(&output));
        keep(child.stderr.take().expect("stderr is piped"), Arc::clone(&output));
        Self { child, output }
    }

    /// Its number.
    pub fn pid(&self) -> i32 {
        i32::try_from(self.child.id()).expect("process ids fit")
    }

    /// Everything it has written so far.
    pub fn output(&self) -> String {
        self.output.lock().expect("no writer panics").clone()
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.pid()), signal).expect("signal a process of the lab");
    }

    /// Kills it and waits for its end.
    pub fn kill(&mut self) {
        // An error means that it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Waits for its end, at most so long.
    pub fn wait(&mut self, limit: Duration) -> ExitStatus {
        wait::some("a process ends", limit, || self.child.try_wait().expect("wait for a process"))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Says how many processes each user may have whom a process starts others as; root has no limit.
#[allow(dead_code, reason = "benches do without")]
pub fn limit_processes(pid: i32, most: &str) {
    let (pid, most) = (pid.to_string(), format!("--nproc={most}:"));
    let status = Command::new("prlimit").args(["--pid", &pid, &most]).status();
    assert!(status.expect("run prlimit").success());
}

fn keep(pipe: impl Read + Send + 'static, output: Arc<Mutex<String>>) {
    thread::spawn(move || {
        let mut reader = BufReader::new(pipe);
        let mut line = Vec::new();
        while reader.read_until(b'\n', &mut line).is_ok_and(|read| read > 0) {
            output.lock().expect("no writer panics").push_str(&String::from_utf8_lossy(&line));
            line.clear();
        }
    });
}

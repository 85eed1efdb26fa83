//! A thread of another process that does nothing any more although no signal has stopped it, as
//! one that waits for a lock which nobody gives back.

use std::fs;
use std::sync::mpsc::{Sender, channel};
use std::thread::{self, JoinHandle};

use nix::sys::ptrace;
use nix::sys::wait::{WaitPidFlag, waitpid};
use nix::unistd::Pid;

/// The thread goes on when this is dropped, unless its process is dead.
pub struct Hang {
    end: Option<Sender<()>>,
    tracer: Option<JoinHandle<()>>,
}

impl Hang {
    /// Holds the thread of a process that has this name; its first thread has the process's.
    pub fn of(pid: i32, thread: &str) -> Self {
        let tasks = fs::read_dir(format!("/proc/{pid}/task")).expect("the process lives").flatten();
        let name = |task: &fs::DirEntry| fs::read_to_string(task.path().join("comm"));
        let mut tasks = tasks.filter(|task| name(task).is_ok_and(|name| name.trim() == thread));
        let task = tasks.next().unwrap_or_else(|| panic!("{pid} has no thread {thread}"));
        let number = task.file_name().to_string_lossy().parse().expect("threads have numbers");
        let (end, ended) = channel();
        let (held_tx, held) = channel();
        // Who holds a thread is itself a thread, and no other may let go.
        let tracer = thread::spawn(move || {
            let thread = Pid::from_raw(number);
            ptrace::seize(thread, ptrace::Options::empty()).expect("seize a thread");
            ptrace::interrupt(thread).expect("interrupt a thread");
            waitpid(thread, Some(WaitPidFlag::__WALL)).expect("a thread stops");
            held_tx.send(()).expect("it is waited for");
            let _ = ended.recv();
            // An error means that its process has ended.
            let _ = ptrace::detach(thread, None);
        });
        held.recv().expect("a thread is held");
        Self { end: Some(end), tracer: Some(tracer) }
    }
}

impl Drop for Hang {
    fn drop(&mut self) {
        self.end = None;
        if let Some(tracer) = self.tracer.take() {
            let _ = tracer.join();
        }
    }
}

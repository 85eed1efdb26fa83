//! What the daemon's two processes have and use.

use std::fmt;
use std::thread;
use std::time::{Duration, Instant};

use crate::harness::agent::Agent;
use crate::harness::world::World;
use crate::process::{Memory, cpu_seconds, memory_kib};

/// Of both processes at one moment.
pub struct Cost {
    control: Has,
    dataplane: Has,
}

/// Of one process.
#[derive(Clone, Copy)]
struct Has {
    memory: Memory,
    files: usize,
}

impl Cost {
    /// What they have now.
    pub fn of(world: &World<'_>) -> Self {
        Self::of_agent(&world.agent)
    }

    /// What they have now.
    pub fn of_agent(agent: &Agent<'_>) -> Self {
        let dataplane = agent.dataplane_pid().expect("a data plane runs");
        Self { control: Has::of(agent.pid()), dataplane: Has::of(dataplane) }
    }

    /// Shows what each of so many sessions has added to `before`.
    pub fn report(&self, before: &Self, sessions: usize) {
        println!("with {sessions}: {self}");
        let both = [
            ("control", &self.control, &before.control),
            ("data plane", &self.dataplane, &before.dataplane),
        ];
        for (name, now, before) in both {
            let each = |now: u64, before: u64| share(now.saturating_sub(before), sessions);
            println!(
                "  a session in {name}: RSS {:.1} KiB, PSS {:.1} KiB, {:.2} files",
                each(now.memory.resident, before.memory.resident),
                each(now.memory.proportional, before.memory.proportional),
                each(now.files as u64, before.files as u64),
            );
        }
    }
}

impl fmt::Display for Cost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "control {}; data plane {}", self.control, self.dataplane)
    }
}

impl Has {
    fn of(pid: i32) -> Self {
        let files = std::fs::read_dir(format!("/proc/{pid}/fd")).expect("it lives").count();
        Self { memory: memory_kib(pid), files }
    }
}

impl fmt::Display for Has {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Memory { resident, proportional } = self.memory;
        write!(f, "RSS {resident} KiB, PSS {proportional} KiB, {} files", self.files)
    }
}

/// Shows what share of a core each process uses while nobody asks for anything.
pub fn idle(world: &World<'_>, time: Duration) {
    let dataplane = world.agent.dataplane_pid().expect("a data plane runs");
    let used = || (cpu_seconds(world.agent.pid()), cpu_seconds(dataplane));
    let (start, before) = (Instant::now(), used());
    thread::sleep(time);
    let (took, after) = (start.elapsed().as_secs_f64(), used());
    let percent = |after: f64, before: f64| (after - before) / took * 100.0;
    println!(
        "idle for {took:.0} s: control {:.2} % of a core, data plane {:.2} %",
        percent(after.0, before.0),
        percent(after.1, before.1)
    );
}

fn share(amount: u64, sessions: usize) -> f64 {
    #[allow(clippy::cast_precision_loss, reason = "it is shown with two digits")]
    let share = amount as f64 / sessions as f64;
    share
}

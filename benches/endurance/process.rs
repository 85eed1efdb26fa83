//! What the kernel knows of a process, and of a namespace's TCP.

use std::fs;
use std::ops::Sub;

use crate::harness::namespace::Namespace;

/// Memory of a process that is its own, in KiB: private and shared pages, files not counted.
pub fn anonymous_kib(pid: i32) -> u64 {
    kib(pid, "status", "RssAnon:")
}

/// Memory of a process in KiB.
#[derive(Debug, Clone, Copy)]
pub struct Memory {
    /// All that it has.
    pub resident: u64,
    /// What it shares with others counted in part.
    pub proportional: u64,
}

/// What a process has now.
pub fn memory_kib(pid: i32) -> Memory {
    let (resident, proportional) =
        (kib(pid, "smaps_rollup", "Rss:"), kib(pid, "smaps_rollup", "Pss:"));
    Memory { resident, proportional }
}

fn kib(pid: i32, file: &str, field: &str) -> u64 {
    let text = fs::read_to_string(format!("/proc/{pid}/{file}")).expect("it lives");
    let line = text.lines().find_map(|line| line.strip_prefix(field));
    let number = line.and_then(|line| line.split_whitespace().next());
    number.and_then(|number| number.parse().ok()).expect("the kernel says it")
}

/// Seconds that all threads of a process have run.
pub fn cpu_seconds(pid: i32) -> f64 {
    let threads = fs::read_dir(format!("/proc/{pid}/task")).expect("it lives");
    let nanoseconds = threads.flatten().filter_map(|thread| {
        let text = fs::read_to_string(thread.path().join("schedstat")).ok()?;
        text.split_whitespace().next()?.parse::<f64>().ok()
    });
    nanoseconds.sum::<f64>() / 1e9
}

/// Segments that TCP in a namespace has sent so far.
#[derive(Debug, Clone, Copy)]
pub struct Segments {
    all: u64,
    repeated: u64,
}

impl Segments {
    /// As the kernel has counted them.
    pub fn sent(namespace: &Namespace) -> Self {
        let repeated = counter(namespace, "Tcp", "RetransSegs");
        Self { all: counter(namespace, "Tcp", "OutSegs") + repeated, repeated }
    }

    /// How many of them were sent again, between 0 and 1.
    #[allow(clippy::cast_precision_loss, reason = "it is shown with three digits")]
    pub fn share_repeated(self) -> f64 {
        self.repeated as f64 / self.all.max(1) as f64
    }
}

impl Sub for Segments {
    type Output = Self;

    fn sub(self, other: Self) -> Self {
        Self { all: self.all - other.all, repeated: self.repeated - other.repeated }
    }
}

/// Datagrams that found the buffer of their socket in a namespace full.
pub fn udp_overflows(namespace: &Namespace) -> u64 {
    counter(namespace, "Udp", "RcvbufErrors")
}

fn counter(namespace: &Namespace, protocol: &str, wanted: &str) -> u64 {
    let text = namespace.run(|| fs::read_to_string("/proc/thread-self/net/snmp"));
    let text = text.expect("a namespace has counters");
    let mut lines = text.lines().filter_map(|line| line.strip_prefix(protocol)?.strip_prefix(": "));
    let (names, values) = (lines.next().expect("names"), lines.next().expect("values"));
    let mut pairs = names.split(' ').zip(values.split(' '));
    let value = pairs.find_map(|(name, value)| (name == wanted).then_some(value));
    value.and_then(|value| value.parse().ok()).expect("the kernel counts it")
}

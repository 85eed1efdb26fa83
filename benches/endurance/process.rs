//! What the kernel knows of a process, and of a namespace's TCP.

use std::fs;

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

/// Segments that TCP in a namespace has sent again so far.
pub fn retransmits(namespace: &Namespace) -> u64 {
    let text = namespace.run(|| fs::read_to_string("/proc/thread-self/net/snmp"));
    let text = text.expect("a namespace has counters");
    let mut tcp = text.lines().filter_map(|line| line.strip_prefix("Tcp: "));
    let (names, values) = (tcp.next().expect("names"), tcp.next().expect("values"));
    let mut pairs = names.split(' ').zip(values.split(' '));
    let value = pairs.find_map(|(name, value)| (name == "RetransSegs").then_some(value));
    value.and_then(|value| value.parse().ok()).expect("TCP counts what it repeats")
}

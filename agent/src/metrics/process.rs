//! What a process of the agent's uses.

use egress_linux::process_stat;
use prometheus::core::Collector;
use prometheus::{Counter, Gauge, IntGauge, Opts};

use super::VALID;

/// Of one process. Clones are the same ones.
#[derive(Clone)]
pub struct ProcessMetrics {
    cpu: Counter,
    resident: IntGauge,
    virtual_memory: IntGauge,
    files: IntGauge,
    files_max: IntGauge,
    threads: IntGauge,
    began: Gauge,
}

impl ProcessMetrics {
    /// Under names that begin with `prefix`.
    pub fn new(prefix: &str) -> Self {
        let opts = |name: &str, help: &str| Opts::new(format!("{prefix}_{name}"), help);
        let gauge = |name, help| IntGauge::with_opts(opts(name, help)).expect(VALID);
        let cpu = opts("cpu_seconds_total", "Seconds that all threads have run.");
        let began = opts("start_time_seconds", "When the process was started.");
        Self {
            cpu: Counter::with_opts(cpu).expect(VALID),
            resident: gauge("resident_memory_bytes", "Memory that is in use."),
            virtual_memory: gauge("virtual_memory_bytes", "Address space that is in use."),
            files: gauge("open_fds", "Open files."),
            files_max: gauge("max_fds", "Files that may be open."),
            threads: gauge("threads", "Threads."),
            began: Gauge::with_opts(began).expect(VALID),
        }
    }

    /// Every one of them.
    pub fn collectors(&self) -> [Box<dyn Collector>; 7] {
        [
            Box::new(self.cpu.clone()),
            Box::new(self.resident.clone()),
            Box::new(self.virtual_memory.clone()),
            Box::new(self.files.clone()),
            Box::new(self.files_max.clone()),
            Box::new(self.threads.clone()),
            Box::new(self.began.clone()),
        ]
    }

    /// As they are now. One that has ended keeps the last values until another takes its place.
    pub fn update(&self, pid: u32) {
        let Ok(stat) = process_stat::read(pid) else { return };
        // Another process begins anew, as a counter may.
        self.cpu.reset();
        self.cpu.inc_by(stat.cpu.as_secs_f64());
        set(&self.resident, stat.resident_memory);
        set(&self.virtual_memory, stat.virtual_memory);
        set(&self.threads, stat.threads);
        self.began.set(stat.began_at().unwrap_or_default());
        set(&self.files, process_stat::open_files(pid).unwrap_or_default());
        set(&self.files_max, process_stat::files_max(pid).unwrap_or_default());
    }
}

fn set(gauge: &IntGauge, value: u64) {
    gauge.set(i64::try_from(value).unwrap_or(i64::MAX));
}

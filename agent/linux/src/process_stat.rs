//! What a process has used, and how it is, as `/proc/PID/stat` has it.

use std::{fs, io, time::Duration};

use rustix::param::{clock_ticks_per_second, page_size};

/// A process at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProcessStat {
    /// Of its first thread: `R`, `S`, `D`, `T`, …
    pub state: char,
    /// What all its threads have run, in user mode and in the kernel.
    pub cpu: Duration,
    /// How many threads it has.
    pub threads: u64,
    /// When it was started, in clock ticks since the boot: with its number, it and no other.
    pub began: u64,
    /// Its address space, in bytes.
    pub virtual_memory: u64,
    /// What of that is in memory, in bytes.
    pub resident_memory: u64,
}

impl ProcessStat {
    /// Whether a signal has stopped it.
    pub fn is_stopped(&self) -> bool {
        self.state == 'T'
    }

    /// When it was started, in seconds since the epoch.
    pub fn began_at(&self) -> io::Result<f64> {
        Ok(boot_time()? + ticks(self.began).as_secs_f64())
    }
}

/// How a process is. Its number may be another process's by now.
pub fn read(pid: u32) -> io::Result<ProcessStat> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    parse(&stat).ok_or_else(|| invalid("a line of /proc/PID/stat"))
}

/// How many files a process has open.
pub fn open_files(pid: u32) -> io::Result<u64> {
    let dir = format!("/proc/{pid}/fd");
    match fs::metadata(&dir)?.len() {
        // A kernel before 6.2 does not say it.
        0 => Ok(fs::read_dir(dir)?.count() as u64),
        count => Ok(count),
    }
}

/// The most files a process may have open.
pub fn files_max(pid: u32) -> io::Result<u64> {
    let limits = fs::read_to_string(format!("/proc/{pid}/limits"))?;
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"));
    let soft = line.and_then(|line| line.split_whitespace().next());
    match soft {
        Some("unlimited") => Ok(u64::MAX),
        soft => soft.and_then(|soft| soft.parse().ok()).ok_or_else(|| invalid("Max open files")),
    }
}

fn parse(stat: &str) -> Option<ProcessStat> {
    // The name is in brackets and may hold anything; the field behind it is the third.
    let fields: Vec<&str> = stat.rsplit_once(") ")?.1.split_whitespace().collect();
    let number = |field: usize| fields.get(field - 3)?.parse::<u64>().ok();
    Some(ProcessStat {
        state: fields.first()?.chars().next()?,
        cpu: ticks(number(14)? + number(15)?),
        threads: number(20)?,
        began: number(22)?,
        virtual_memory: number(23)?,
        resident_memory: number(24)? * page_size() as u64,
    })
}

fn ticks(count: u64) -> Duration {
    Duration::from_millis(count.saturating_mul(1000) / clock_ticks_per_second().max(1))
}

/// Seconds since the epoch.
fn boot_time() -> io::Result<f64> {
    let stat = fs::read_to_string("/proc/stat")?;
    let line = stat.lines().find_map(|line| line.strip_prefix("btime "));
    line.and_then(|line| line.trim().parse().ok()).ok_or_else(|| invalid("btime"))
}

fn invalid(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("no {what} in /proc"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_brackets_and_blanks_is_passed_over() {
        let line = "71 (a) S 9) T 1 71 71 0 -1 4194560 10 0 0 0 250 50 0 0 20 0 4 0 4711 8192 2 1";
        let stat = parse(line).unwrap();
        assert!(stat.is_stopped());
        assert_eq!((stat.cpu, stat.threads, stat.began), (ticks(300), 4, 4711));
        assert_eq!((stat.virtual_memory, stat.resident_memory), (8192, 2 * page_size() as u64));
        assert_eq!(parse("71 (a) S 1"), None);
    }

    #[test]
    fn this_process_runs_and_has_files() {
        let own = std::process::id();
        let stat = read(own).unwrap();
        assert!(!stat.is_stopped() && stat.threads >= 1 && stat.resident_memory > 0);
        let age = std::time::SystemTime::now()
            .duration_since(std::time::UNIX_EPOCH)
            .unwrap()
            .as_secs_f64()
            - stat.began_at().unwrap();
        assert!((-2.0..3600.0).contains(&age), "{age}");
        assert!(open_files(own).unwrap() >= 3 && files_max(own).unwrap() >= 3);
    }
}

//! The daemon: control, or with `dataplane` the packet process that control starts.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::Context as _;
use clap::{Parser, Subcommand};
use egress_agent::config::{Config, ConfigError, Log, LogFormat};
use egress_agent::{app, host_needs, telemetry};
use egress_core::fault::{Faults, Tally};
use rustix::thread::CapabilitySet;

/// Gives each container on this host its own way out, through the VPN gateway chosen for it.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    /// The configuration; when this default is not there, every setting has its own default.
    #[arg(long, value_name = "FILE", default_value = DEFAULT_CONFIG)]
    config: PathBuf,
    /// Check the configuration and end.
    #[arg(long)]
    check: bool,
    #[command(subcommand)]
    role: Option<Role>,
}

const DEFAULT_CONFIG: &str = "/etc/egress-agent/agent.toml";

/// How long system calls that are under way have to end.
const LAST_CALLS: Duration = Duration::from_secs(1);

/// What control needs: devices, rules and sockets; `setns`; other users' `/proc/PID/ns`; starting
/// and ending a data plane of another user; giving the API's socket to its group. Not among them
/// is reading or writing other users' files.
const CAPABILITIES: CapabilitySet = CapabilitySet::NET_ADMIN
    .union(CapabilitySet::SYS_ADMIN)
    .union(CapabilitySet::SYS_PTRACE)
    .union(CapabilitySet::SETUID)
    .union(CapabilitySet::SETGID)
    .union(CapabilitySet::SETPCAP)
    .union(CapabilitySet::KILL)
    .union(CapabilitySet::CHOWN);

#[derive(Clone, Subcommand)]
enum Role {
    /// Move packets for the control process that is connected to standard input.
    #[command(hide = true)]
    Dataplane {
        /// Tells it from other agents' data planes: where its next control will look for it.
        #[arg(long)]
        socket: PathBuf,
        /// Threads.
        #[arg(long)]
        workers: usize,
        /// As in `agent.toml`.
        #[arg(long)]
        log_format: LogFormat,
        /// As in `agent.toml`.
        #[arg(long)]
        log_level: String,
    },
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let result = match arguments.role.clone() {
        Some(Role::Dataplane { workers, log_format: format, log_level: level, .. }) => {
            dataplane(workers, &Log { format, level })
        }
        None => control(&arguments),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            complain(&error);
            ExitCode::FAILURE
        }
    }
}

/// Why nothing runs; of a file each fault on a line of its own.
#[expect(clippy::print_stderr, reason = "the log may not have started")]
fn complain(error: &anyhow::Error) {
    match error.downcast_ref::<Faults>() {
        Some(faults) => eprintln!("{faults}\negress-agentd: {}", Tally::of(&faults.0)),
        None => eprintln!("egress-agentd: {error:#}"),
    }
}

/// Says that all is well with the configuration, and what was looked at; what may be a mistake is
/// told before.
#[expect(clippy::print_stderr, clippy::print_stdout, reason = "nothing else is asked for")]
fn check(config: &Config, path: &Path) -> anyhow::Result<()> {
    let is_there = path.exists();
    let (looked_at, warnings) = app::check(config, path)?;
    for warning in warnings {
        eprintln!("{warning}");
    }
    let state = if is_there { "good" } else { "not there: every setting has its default" };
    println!("{}: {state}; looked at {}", path.display(), looked_at.join(", "));
    Ok(())
}

fn control(arguments: &Arguments) -> anyhow::Result<()> {
    let config = configuration(arguments)?;
    if arguments.check {
        return check(&config, &arguments.config);
    }
    telemetry::start(&config.log);
    host_needs::root().map_err(|lack| anyhow::anyhow!(lack.text()))?;
    egress_linux::process::harden_self().context("keep secrets out of core dumps")?;
    // What whoever started this process has left open is not for its children.
    egress_linux::process::close_on_exec_from(3).context("keep files from children")?;
    egress_linux::process::raise_nofile_limit().context("raise the limit of open files")?;
    egress_linux::process::drop_capabilities_except(CAPABILITIES)
        .context("give up the capabilities that are not needed")?;
    let threads = AtomicUsize::new(0);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .thread_name_fn(move || format!("control-{}", threads.fetch_add(1, Ordering::Relaxed)))
        .build()?;
    let ran = runtime.block_on(app::run(config));
    // A thread that waits for the kernel is not waited for.
    runtime.shutdown_timeout(LAST_CALLS);
    ran
}

fn configuration(arguments: &Arguments) -> anyhow::Result<Config> {
    let path = &arguments.config;
    match Config::read(path) {
        Err(ConfigError::Read { source, .. })
            if source.kind() == std::io::ErrorKind::NotFound
                && path.as_os_str() == DEFAULT_CONFIG =>
        {
            Ok(Config::default())
        }
        // As they are, so that each is told on a line of its own.
        Err(ConfigError::Faults(faults)) => Err(faults.into()),
        result => Ok(result?),
    }
}

fn dataplane(workers: usize, log: &Log) -> anyhow::Result<()> {
    // What `top` shows; the kernel would name it after the path it was executed by.
    rustix::thread::set_name(c"egress-dataplane").context("name the process")?;
    telemetry::start(log);
    let control = egress_linux::handover::take_stdin().context("take control's connection")?;
    Ok(egress_dataplane::run(control, egress_dataplane::Options { workers })?)
}

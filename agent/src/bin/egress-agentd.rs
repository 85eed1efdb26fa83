//! The daemon: control, or with `dataplane` the packet process that control starts.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::{Parser, Subcommand};
use egress_agent::config::{Config, ConfigError};
use egress_agent::{app, telemetry};

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

#[derive(Subcommand)]
enum Role {
    /// Move packets for the control process that passes its socket as standard input.
    #[command(hide = true)]
    Dataplane {
        /// Threads; 0 is one per core, at most 4.
        #[arg(long, default_value_t = 0)]
        workers: usize,
    },
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let result = match arguments.role {
        Some(Role::Dataplane { workers }) => dataplane(workers),
        None => control(&arguments),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            #[expect(clippy::print_stderr, reason = "the log may not have started")]
            {
                eprintln!("egress-agentd: {error:#}");
            }
            ExitCode::FAILURE
        }
    }
}

fn control(arguments: &Arguments) -> anyhow::Result<()> {
    let config = configuration(arguments)?;
    if arguments.check {
        return Ok(());
    }
    telemetry::start(&config.log);
    egress_linux::process::harden_self().context("keep secrets out of core dumps")?;
    egress_linux::process::raise_nofile_limit().context("raise the limit of open files")?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(app::run(config))
}

fn configuration(arguments: &Arguments) -> Result<Config, ConfigError> {
    let path = &arguments.config;
    match Config::read(path) {
        Err(ConfigError::Read { source, .. })
            if source.kind() == std::io::ErrorKind::NotFound
                && path.as_os_str() == DEFAULT_CONFIG =>
        {
            Ok(Config::default())
        }
        result => result,
    }
}

fn dataplane(workers: usize) -> anyhow::Result<()> {
    telemetry::start(&egress_agent::config::Log::default());
    let listener = egress_linux::handover::take_stdin().context("take control's socket")?;
    Ok(egress_dataplane::run(listener, egress_dataplane::Options { workers })?)
}

//! What `egressctl` is told on its command line.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, CommandFactory as _, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;
use egress_core::api::OnSessions;
use egress_core::id::SessionId;

use super::elsewhere::Elsewhere;
use super::filters::{Events, SessionFilter, Sessions};
use super::import_arguments::{Import, RuleArguments};
use super::record_arguments::RecordCommand;
use super::subject::SubjectArguments;

/// Where the agent listens unless `agent.toml` says otherwise.
const SOCKET: &str = "/run/egress-agent/agent.sock";

/// The heading of the options that every command has.
pub const GLOBAL: &str = "Global options";

/// Asks this host's egress agent.
///
/// Exit codes: 0 done, 1 refused, 64 used wrongly, 69 no agent. `exec` ends with its command's
/// own; with 125 where it failed itself, 126 where the command cannot be run, 127 where there is
/// none.
#[derive(Debug, Parser)]
#[command(name = "egressctl", version, propagate_version = true)]
pub struct Arguments {
    /// The agent's socket.
    #[arg(
        long,
        global = true,
        env = "EGRESS_AGENT_SOCKET",
        default_value = SOCKET,
        value_name = "PATH",
        help_heading = GLOBAL
    )]
    pub socket: PathBuf,
    #[command(flatten)]
    pub elsewhere: Elsewhere,
    /// How answers are shown.
    #[arg(long, short, global = true, value_enum, default_value_t, value_name = "FORM")]
    #[arg(help_heading = GLOBAL)]
    pub output: Output,
    /// Tell everything that was found: notes too, and each warning where it is.
    #[arg(long, short, global = true, help_heading = GLOBAL)]
    pub verbose: bool,
    #[command(subcommand)]
    pub command: Command,
}

/// How answers are shown.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum Output {
    /// For people.
    #[default]
    Table,
    /// The agent's reply as it came; errors as problem documents.
    Json,
}

/// What can be understood of a command line that is wrong.
#[derive(Debug, PartialEq, Eq)]
pub struct Understood {
    /// How its failure is shown.
    pub output: Output,
    /// It is `exec`'s.
    pub is_exec: bool,
}

impl Understood {
    /// Reads the arguments, the program's name first, as far as that goes.
    pub fn of(arguments: impl IntoIterator<Item = OsString>) -> Self {
        let read = Arguments::command().ignore_errors(true).try_get_matches_from(arguments);
        let output = read.as_ref().ok().and_then(|read| read.get_one("output").copied());
        let is_exec = read.as_ref().is_ok_and(|read| read.subcommand_name() == Some("exec"));
        Self { output: output.unwrap_or_default(), is_exec }
    }
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Give a container's network namespace an egress
    Attach(Attach),
    /// Take a container's egress away
    Detach {
        /// The session's id
        session: SessionId,
        /// Take the seal away too, also of a session that has ended: the namespace is then as it was
        /// before the attach
        #[arg(long)]
        release: bool,
    },
    /// List sessions
    Sessions(Sessions),
    /// Look at one session
    #[command(subcommand)]
    Session(Session),
    /// Show the launch menu of a subject
    Offers(Offers),
    /// Say why a gateway is or is not offered
    Explain(Explain),
    /// Show how the agent stands: its parts, the host's, sessions by state, and what is wrong
    Status,
    /// Show live connections of each credential
    Connections,
    /// Watch sessions: how they stand, and what they carry
    Top(Top),
    /// Follow what happens, until interrupted
    Events(Events),
    /// Add and change catalog records from files
    Apply(Apply),
    /// Providers: who runs gateways
    #[command(subcommand)]
    Provider(RecordCommand),
    /// Gateways: ways out
    #[command(subcommand)]
    Gateway(RecordCommand),
    /// Mappings: who may use which gateways
    #[command(subcommand)]
    Mapping(RecordCommand),
    /// Credentials: what opens gateways
    #[command(subcommand)]
    Credential(RecordCommand),
    /// Workspaces: what is launched
    #[command(subcommand)]
    Workspace(RecordCommand),
    /// Make a provider, gateways, credentials and a mapping of wg-quick or .ovpn files
    Import(Import),
    /// What plugin services do
    #[command(subcommand)]
    Plugin(Plugin),
    /// Find every fault of a wg-quick, .ovpn or apply file, without an agent
    Check(Check),
    /// Copy the agent's store, or change the key of its secrets
    #[command(subcommand)]
    Store(Store),
    /// Run a command whose traffic leaves through a gateway or not at all
    Exec(Exec),
    /// Show the main job on this machine alone: no container engine, no internet
    Demo(crate::demo::Arguments),
    /// Print a shell's completion script
    Completions {
        /// For which shell
        shell: Shell,
    },
    /// Print the manual page, or write all of them to a directory
    Man {
        /// Where to write them
        #[arg(long, value_name = "DIR")]
        dir: Option<PathBuf>,
    },
    /// The other half of exec, in namespaces of its own
    #[command(hide = true)]
    Inside(Exec),
}

impl Command {
    /// Whether its exit code is that of a command it runs.
    pub fn is_exec(&self) -> bool {
        matches!(self, Self::Exec(_) | Self::Inside(_))
    }
}

#[derive(Debug, Subcommand)]
pub enum Session {
    /// Show one session
    Show {
        /// The session's id
        session: SessionId,
    },
}

#[derive(Debug, Subcommand)]
pub enum Store {
    /// Write a copy of the whole store, made while the agent goes on
    Backup {
        /// Where to write it, mode 0600; a file that is there is replaced
        file: PathBuf,
    },
    /// Make a new master key and seal every secret with it
    RotateKey,
}

#[derive(Debug, Args)]
pub struct Attach {
    /// Your own name for it; the same again finds the running session
    pub session: SessionId,
    #[command(flatten)]
    pub netns: NetnsArguments,
    /// An id, provider/name, or a name that only one provider's gateway has
    #[arg(long, short, required_unless_present = "no_gateway", value_name = "GATEWAY")]
    pub gateway: Option<String>,
    /// No way out at all, where the workspace's egress is optional
    #[arg(long, conflicts_with = "gateway")]
    pub no_gateway: bool,
    #[command(flatten)]
    pub subject: SubjectArguments,
    #[command(flatten)]
    pub deadline: Deadline,
    /// A file with your answer to the gateway's question (- is standard input)
    #[arg(long, value_name = "FILE")]
    pub challenge_file: Option<PathBuf>,
}

#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub struct NetnsArguments {
    /// The namespace's file
    #[arg(long, value_name = "PATH")]
    pub netns: Option<PathBuf>,
    /// A process in the namespace
    #[arg(long, value_name = "PID")]
    pub pid: Option<i32>,
}

#[derive(Debug, Clone, Copy, Args)]
pub struct Deadline {
    /// Seconds until an attach is given up
    #[arg(long, default_value_t = 10, value_name = "SECONDS")]
    #[arg(value_parser = clap::value_parser!(u64).range(1..=300))]
    pub deadline: u64,
}

#[derive(Debug, Args)]
pub struct Offers {
    #[command(flatten)]
    pub subject: SubjectArguments,
    /// Show also every hidden gateway with its reasons
    #[arg(long)]
    pub explain: bool,
}

#[derive(Debug, Args)]
pub struct Explain {
    /// An id, provider/name, or a name that only one provider's gateway has; all when left out
    pub gateway: Option<String>,
    #[command(flatten)]
    pub subject: SubjectArguments,
}

#[derive(Debug, Clone, Args)]
pub struct Top {
    #[command(flatten)]
    pub filter: SessionFilter,
    /// Seconds from one picture to the next, if nothing happens before
    #[arg(long, default_value_t = 1, value_name = "SECONDS")]
    #[arg(value_parser = clap::value_parser!(u64).range(1..=3_600))]
    pub interval: u64,
    /// Print this many pictures, one below the other, in place of one until q
    #[arg(long, value_name = "PICTURES")]
    pub count: Option<u64>,
}

impl Top {
    /// From one picture to the next.
    pub fn interval(&self) -> Duration {
        Duration::from_secs(self.interval)
    }
}

#[derive(Debug, Args)]
pub struct Apply {
    /// An apply file, or a directory of them
    #[arg(long, short, value_name = "FILE|DIR")]
    pub file: PathBuf,
    /// Say what would change, and change nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Remove what an earlier apply of this file or directory made and this one does not name
    #[arg(long)]
    pub prune: bool,
    #[command(flatten)]
    pub sessions: SessionsArguments,
}

#[derive(Debug, Clone, Copy, Args)]
pub struct SessionsArguments {
    /// What becomes of sessions that run on what is changed or removed
    #[arg(long = "sessions", value_enum, default_value_t, value_name = "FATE")]
    pub fate: Fate,
}

/// What becomes of sessions that run on what is changed or removed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum Fate {
    /// They run on.
    #[default]
    Drain,
    /// They are ended, sealed.
    Cut,
}

impl SessionsArguments {
    /// As the API says it.
    pub fn on_sessions(self) -> OnSessions {
        match self.fate {
            Fate::Drain => OnSessions::Drain,
            Fate::Cut => OnSessions::Cut,
        }
    }
}

#[derive(Debug, Subcommand)]
pub enum Plugin {
    /// Push a provider's whole snapshot
    Push(Push),
}

#[derive(Debug, Args)]
pub struct Push {
    /// The snapshot as JSON; - for standard input
    pub file: PathBuf,
    /// The provider's id, or its name where the caller may list providers
    #[arg(long, short, value_name = "PROVIDER")]
    pub provider: String,
    /// Say what would change, and change nothing
    #[arg(long)]
    pub dry_run: bool,
}

#[derive(Debug, Args)]
pub struct Check {
    /// A wg-quick file (`*.conf`), an .ovpn file (`*.ovpn`), an apply file (`*.toml`) or a
    /// directory of the latter
    pub file: PathBuf,
    #[command(flatten)]
    pub rules: RuleArguments,
}

#[derive(Debug, Args)]
pub struct Exec {
    /// An id, provider/name, or a name that only one provider's gateway has
    #[arg(long, short, value_name = "GATEWAY")]
    pub gateway: String,
    #[command(flatten)]
    pub subject: SubjectArguments,
    #[command(flatten)]
    pub deadline: Deadline,
    /// The session's id; else one of its own
    #[arg(long, value_name = "ID")]
    pub session: Option<SessionId>,
    /// Stay root under sudo, in place of becoming the user who called it
    #[arg(long)]
    pub keep_root: bool,
    /// The command and its arguments
    #[arg(last = true, required = true, num_args = 1.., value_name = "COMMAND")]
    pub command: Vec<OsString>,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    fn parse(line: &str) -> Result<Arguments, clap::Error> {
        Arguments::try_parse_from(line.split_whitespace())
    }

    #[test]
    fn the_command_line_is_sound() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn what_is_missing_or_too_much_is_an_error() {
        for line in [
            "egressctl",
            "egressctl attach c-41",
            "egressctl attach c-41 --netns /x",
            "egressctl attach c-41 --netns /x --pid 1 -g g",
            "egressctl attach c-41 --netns /x -g g --no-gateway",
            "egressctl attach a/b --netns /x -g g",
            "egressctl attach c --netns /x -g g --deadline 0",
            "egressctl attach c --netns /x -g g --deadline 301",
            "egressctl apply",
            "egressctl plugin push x.json",
            "egressctl plugin push --provider p",
            "egressctl import x.conf --owner ann",
            "egressctl import x.conf --owner robot:ann",
            "egressctl exec -g g",
            "egressctl exec -g g true",
            "egressctl offers --output yaml",
            "egressctl provider",
            "egressctl gateway show",
            "egressctl credential create --set name",
            "egressctl mapping update",
            "egressctl workspace delete w --sessions kill",
        ] {
            assert!(parse(line).is_err(), "{line} was taken");
        }
    }

    #[test]
    fn every_help_has_the_global_options_under_a_heading_of_their_own() {
        let mut commands = vec![Arguments::command()];
        while let Some(mut command) = commands.pop() {
            command.build();
            commands.extend(command.get_subcommands().cloned());
            for argument in command.get_arguments().filter(|it| it.is_global_set()) {
                let (name, heading) = (argument.get_id(), argument.get_help_heading());
                assert_eq!(heading, Some(GLOBAL), "{name} of {}", command.get_name());
            }
        }
    }

    #[test]
    fn a_wrong_command_line_is_answered_in_the_form_it_asked_for() {
        let of = |line: &str| {
            let Understood { output, is_exec } =
                Understood::of(line.split_whitespace().map(OsString::from));
            (output, is_exec)
        };
        assert_eq!(of("egressctl attach c -o json"), (Output::Json, false));
        assert_eq!(of("egressctl -o json sessions --no-such"), (Output::Json, false));
        assert_eq!(of("egressctl attach c"), (Output::Table, false));
        assert_eq!(of("egressctl exec -g g"), (Output::Table, true));
        assert_eq!(of("egressctl -o json exec --no-such -- exec"), (Output::Json, true));
        assert_eq!(of("egressctl"), (Output::Table, false));
    }

    #[test]
    fn everything_after_two_dashes_is_the_command() {
        let parsed = parse("egressctl exec -g se-1 -- curl --output x -g").unwrap();
        let Command::Exec(exec) = parsed.command else { panic!("{parsed:?}") };
        assert_eq!(exec.command, ["curl", "--output", "x", "-g"]);
        assert_eq!(parsed.output, Output::Table);
    }
}

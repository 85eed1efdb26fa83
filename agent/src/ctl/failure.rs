//! Why a command came to nothing, and the exit code that says so.

use std::error::Error as _;
use std::fmt::Write as _;
use std::io;
use std::process::ExitCode;

use egress_core::api::{Code, Problem, Refusal};
use egress_core::fault::Faults;

use super::findings::{lines, words};
use crate::control::client::Error;

/// Exit code: the command line was wrong (`EX_USAGE`).
pub const USAGE: u8 = 64;
/// Exit code: no agent answers (`EX_UNAVAILABLE`).
const NO_DAEMON: u8 = 69;
/// Exit codes of `exec`, as env(1) has them: it failed itself, the command cannot be run, there is
/// no such command.
const EXEC_FAILED: u8 = 125;
const CANNOT_RUN: u8 = 126;
const NO_COMMAND: u8 = 127;
/// Exit code: nobody reads standard output any more (128 + `SIGPIPE`).
const PIPE_CLOSED: u8 = 141;
/// Exit code: refused, or something went wrong.
const REFUSED: u8 = 1;

/// Why a command came to nothing.
#[derive(Debug)]
pub enum Failure {
    /// The command line asks for something that cannot be.
    Usage(String),
    /// What a file holds is at fault.
    Faulty(Faults),
    /// The agent refused, or did not answer.
    Agent(Error),
    /// The command of `exec` could not be run.
    Run {
        /// The command.
        program: String,
        /// Why.
        source: io::Error,
    },
    /// Nobody reads standard output any more.
    PipeClosed,
    /// The host did not do its part.
    System {
        /// What was tried.
        operation: String,
        /// Why it failed.
        source: io::Error,
    },
}

impl Failure {
    /// The host did not do its part.
    pub fn system(operation: impl Into<String>, source: impl Into<io::Error>) -> Self {
        Self::System { operation: operation.into(), source: source.into() }
    }

    /// The code that the program ends with.
    pub fn exit_code(&self) -> ExitCode {
        ExitCode::from(match self {
            Self::Usage(_) => USAGE,
            Self::Agent(Error::NoDaemon { .. }) => NO_DAEMON,
            Self::PipeClosed => PIPE_CLOSED,
            Self::Run { source, .. } if source.kind() == io::ErrorKind::NotFound => NO_COMMAND,
            Self::Run { .. } => CANNOT_RUN,
            Self::Agent(
                Error::Denied { .. }
                | Error::Distrust { .. }
                | Error::Refused(_)
                | Error::TooLarge { .. }
                | Error::Protocol { .. }
                | Error::Timeout { .. },
            )
            | Self::Faulty(_)
            | Self::System { .. } => REFUSED,
        })
    }

    /// The code that `exec` ends with, told apart from those of its command.
    pub fn exec_exit_code(&self) -> ExitCode {
        match self {
            Self::Run { .. } | Self::PipeClosed => self.exit_code(),
            Self::Usage(_) | Self::Faulty(_) | Self::Agent(_) | Self::System { .. } => {
                ExitCode::from(EXEC_FAILED)
            }
        }
    }

    /// The failure in sentences, each fault on a line of its own.
    pub fn text(&self) -> String {
        self.told(false)
    }

    /// The same; with `verbose` notes too.
    pub fn told(&self, verbose: bool) -> String {
        match self {
            Self::Usage(why) => format!("egressctl: {why}\n"),
            Self::Faulty(Faults(findings)) => words(findings, verbose),
            Self::Agent(Error::Refused(problem)) => {
                format!("refused, {}: {}\n", problem.title, problem.detail)
                    + &lines(&problem.faults, verbose)
            }
            Self::Agent(error) => {
                format!("egressctl: {error}{}{}\n", causes(error), next_step(error))
            }
            Self::Run { program, source } => format!("egressctl: run {program}: {source}\n"),
            Self::PipeClosed => String::new(),
            Self::System { operation, source } => format!("egressctl: {operation}: {source}\n"),
        }
    }

    fn as_problem(&self, code: Code) -> Problem {
        Refusal::new(code, self.text().trim_end()).problem()
    }

    /// The failure as a problem document: the agent's own, or one for what happened here.
    pub fn problem(&self) -> Problem {
        match self {
            Self::Agent(Error::Refused(problem)) => Problem::clone(problem),
            Self::Faulty(Faults(findings)) => {
                Refusal::new(Code::InvalidRequest, "the file has faults")
                    .with_faults(Faults(findings.clone()).alone())
                    .problem()
            }
            Self::Usage(why) => Refusal::new(Code::InvalidRequest, why).problem(),
            Self::Agent(Error::NoDaemon { .. }) => self.as_problem(Code::NoAgent),
            Self::Agent(_) | Self::Run { .. } | Self::PipeClosed | Self::System { .. } => {
                self.as_problem(Code::Internal)
            }
        }
    }
}

/// What to do about it, where that is not said by the error.
fn next_step(error: &Error) -> &'static str {
    match error {
        Error::NoDaemon { place, .. } if place.starts_with('/') => {
            "; is egress-agentd running? systemctl status egress-agent"
        }
        Error::NoDaemon { .. } => "; is egress-agentd running there, with [api.tls]?",
        Error::Denied { .. } => "; run this as root, or as a member of the socket's group",
        Error::Distrust { .. }
        | Error::Refused(_)
        | Error::TooLarge { .. }
        | Error::Protocol { .. }
        | Error::Timeout { .. } => "",
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Agent(error)
    }
}

impl From<Faults> for Failure {
    fn from(faults: Faults) -> Self {
        Self::Faulty(faults)
    }
}

fn causes(error: &Error) -> String {
    let mut text = String::new();
    let mut cause = error.source();
    while let Some(error) = cause {
        write!(text, ": {error}").expect("a String takes everything");
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use egress_core::fault::Finding;

    use super::*;

    #[test]
    fn a_refusal_reads_as_a_sentence_with_its_faults_below() {
        let faults = vec![Finding::fault("expected 1 to 300000 ms").about("deadline_ms")];
        let refusal = Refusal::new(Code::InvalidRequest, "the request has values out of range");
        let problem = refusal.with_faults(faults).problem();
        let failure = Failure::Agent(Error::Refused(Box::new(problem.clone())));
        assert_eq!(
            failure.text(),
            "refused, invalid request: the request has values out of range\n\
             deadline_ms: expected 1 to 300000 ms\n"
        );
        assert_eq!(failure.problem(), problem);
    }

    #[test]
    fn a_missing_agent_is_told_with_its_socket_the_systems_reason_and_what_to_look_at() {
        let source = io::Error::from(io::ErrorKind::NotFound);
        let failure = Failure::Agent(Error::NoDaemon { place: "/run/x".into(), source });
        assert_eq!(
            failure.text(),
            "egressctl: no agent answers at /run/x: entity not found; is egress-agentd running? \
             systemctl status egress-agent\n"
        );
        assert_eq!(failure.exit_code(), ExitCode::from(69));
        assert_eq!(failure.problem().code, Code::NoAgent);
    }

    #[test]
    fn exec_tells_its_own_failures_from_its_commands() {
        let run = |kind| Failure::Run { program: "x".into(), source: io::Error::from(kind) };
        for (failure, code) in [
            (Failure::Usage("x".into()), 125),
            (Failure::system("x", io::ErrorKind::NotFound), 125),
            (run(io::ErrorKind::PermissionDenied), 126),
            (run(io::ErrorKind::NotFound), 127),
        ] {
            assert_eq!(failure.exec_exit_code(), ExitCode::from(code), "{failure:?}");
        }
    }
}

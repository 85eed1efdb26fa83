//! Why a command came to nothing, and the exit code that says so.

use std::error::Error as _;
use std::fmt::Write as _;
use std::io;
use std::process::ExitCode;

use egress_core::api::{Code, Problem, Refusal};
use egress_core::fault::{Faults, Finding};

use crate::control::client::Error;

/// Exit code: the command line was wrong (`EX_USAGE`).
pub const USAGE: u8 = 64;
/// Exit code: no agent answers (`EX_UNAVAILABLE`).
const NO_DAEMON: u8 = 69;
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

    /// The failure in sentences, each fault on a line of its own.
    pub fn text(&self) -> String {
        match self {
            Self::Usage(why) => format!("egressctl: {why}\n"),
            Self::Faulty(Faults(findings)) => lines(findings),
            Self::Agent(Error::Refused(problem)) => {
                format!("refused, {}: {}\n", problem.title, problem.detail)
                    + &lines(&problem.faults)
            }
            Self::Agent(error) => format!("egressctl: {error}{}\n", causes(error)),
            Self::System { operation, source } => format!("egressctl: {operation}: {source}\n"),
        }
    }

    /// The failure as a problem document: the agent's own, or one for what happened here.
    pub fn problem(&self) -> Problem {
        match self {
            Self::Agent(Error::Refused(problem)) => Problem::clone(problem),
            Self::Faulty(Faults(findings)) => {
                Refusal::new(Code::InvalidRequest, "the file has faults")
                    .with_faults(findings.clone())
                    .problem()
            }
            Self::Usage(why) => Refusal::new(Code::InvalidRequest, why).problem(),
            Self::Agent(_) | Self::System { .. } => {
                Refusal::new(Code::Internal, self.text().trim_end()).problem()
            }
        }
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

/// One finding a line.
pub fn lines(findings: &[Finding]) -> String {
    findings.iter().fold(String::new(), |text, finding| text + &finding.to_string() + "\n")
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
    fn a_missing_agent_is_told_with_its_socket_and_the_systems_reason() {
        let source = io::Error::from(io::ErrorKind::NotFound);
        let failure = Failure::Agent(Error::NoDaemon { place: "/run/x".into(), source });
        assert_eq!(failure.text(), "egressctl: no agent answers at /run/x: entity not found\n");
        assert_eq!(failure.exit_code(), ExitCode::from(69));
    }
}

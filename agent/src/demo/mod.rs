//! `egressctl demo`: the main job for real, without a container engine and without the internet.
//!
//! Everything is in namespaces of its own, the "host" too, and in a process tree that ends with
//! its first process: nothing of this machine is touched, and nothing can be left of it.

mod acts;
mod agent;
mod far_end;
mod machine;
mod page;
mod screen;
mod sniffer;
mod stage;

use std::error::Error as _;
use std::process::ExitCode;

/// What `egressctl demo` is told.
#[derive(Debug, Clone, Copy, clap::Args)]
pub struct Arguments {
    /// The other half, in namespaces of its own
    #[arg(long, hide = true)]
    on_stage: bool,
}

/// Why the demo ended early.
#[derive(Debug, thiserror::Error)]
enum Error {
    /// This machine or user lacks something.
    #[error("{0}")]
    Needs(String),
    /// Something was not as the demo says it is.
    #[error("expected {0}")]
    Unmet(String),
    /// It has been told already, by the half that ran into it.
    #[error("the demo ended early")]
    Told,
    /// A step could not be done.
    #[error("{step}")]
    Step {
        /// What was tried.
        step: String,
        /// Why it failed.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

/// Runs the demo. Call it before the process has other threads.
pub fn run(arguments: Arguments) -> ExitCode {
    let done = if arguments.on_stage { acts::play() } else { machine::watch_over_a_stage() };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(Error::Told) => ExitCode::FAILURE,
        Err(error) => {
            screen::complain(&sentence(&error));
            ExitCode::FAILURE
        }
    }
}

fn sentence(error: &Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}

/// Names the step that an error of somebody else belongs to.
fn failed<E>(step: impl Into<String>) -> impl FnOnce(E) -> Error
where
    E: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    move |source| Error::Step { step: step.into(), source: source.into() }
}

/// Goes on only if it is as the demo says.
fn expect(holds: bool, what: impl FnOnce() -> String) -> Result<(), Error> {
    if holds { Ok(()) } else { Err(Error::Unmet(what())) }
}

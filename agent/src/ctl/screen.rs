//! What is written where: answers to standard output, everything else to standard error.

use std::io::{self, Write};

use egress_core::fault::Finding;
use serde::Serialize;

use super::arguments::Output;
use super::failure::Failure;
use super::findings::words;

/// Both outputs, in the form that was asked for.
#[derive(Debug, Clone, Copy)]
pub struct Screen {
    output: Output,
    verbose: bool,
}

impl Screen {
    /// Writes in this form.
    pub fn new(output: Output) -> Self {
        Self { output, verbose: false }
    }

    /// So, and tells everything that was found where `verbose`.
    pub fn telling_all(self, verbose: bool) -> Self {
        Self { verbose, ..self }
    }

    /// Whether everything is to be told.
    pub fn is_verbose(self) -> bool {
        self.verbose
    }

    /// The form that was asked for.
    pub fn output(self) -> Output {
        self.output
    }

    /// An answer: the words that `table` makes of it, or the answer itself as JSON.
    pub fn show<T: Serialize>(
        self,
        answer: &T,
        table: impl FnOnce(&T) -> String,
    ) -> Result<(), Failure> {
        match self.output {
            Output::Table => self.print(&table(answer)),
            Output::Json => {
                let json = serde_json::to_string_pretty(answer);
                self.print(&(json.expect("replies have text keys only") + "\n"))
            }
        }
    }

    /// One of many answers: a line of words or of JSON.
    pub fn show_line<T: Serialize>(
        self,
        answer: &T,
        line: impl FnOnce(&T) -> String,
    ) -> Result<(), Failure> {
        let line = match self.output {
            Output::Table => line(answer),
            Output::Json => serde_json::to_string(answer).expect("events have text keys only"),
        };
        self.print(&(line + "\n"))
    }

    /// Text as it is.
    #[expect(clippy::unused_self, reason = "whoever prints has been handed the screen")]
    pub fn print(self, text: &str) -> Result<(), Failure> {
        let mut out = io::stdout().lock();
        let written = out.write_all(text.as_bytes()).and_then(|()| out.flush());
        match written {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Err(Failure::PipeClosed),
            written => written.map_err(|error| Failure::system("write to standard output", error)),
        }
    }

    /// What was found beside an answer.
    pub fn remark(self, findings: &[Finding]) {
        if self.output == Output::Table {
            say(&words(findings, self.verbose));
        }
    }

    /// That the list goes on, and how to see more of it. JSON has it already.
    pub fn more(self, next: Option<&str>) {
        if let Some(next) = next.filter(|_| self.output == Output::Table) {
            say(&format!("there are more: --after {next}\n"));
        }
    }

    /// Why there is no answer.
    pub fn complain(self, failure: &Failure) {
        match self.output {
            Output::Table | Output::Json if matches!(failure, Failure::PipeClosed) => {}
            Output::Table => say(&failure.told(self.verbose)),
            Output::Json => {
                let problem = serde_json::to_string_pretty(&failure.problem());
                say(&(problem.expect("a problem has text keys only") + "\n"));
            }
        }
    }
}

fn say(text: &str) {
    // When nobody reads standard error there is nobody left to tell.
    let _ = io::stderr().lock().write_all(text.as_bytes());
}

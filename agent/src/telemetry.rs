//! The log: one JSON object or one line of text for each event, on standard error.

use std::error::Error;
use std::io::{self, IsTerminal as _};

use tracing_subscriber::EnvFilter;

use crate::config::{Log, LogFormat};

/// Starts logging for the whole process; a second call does nothing.
pub fn start(log: &Log) {
    let filter = filter(&log.level);
    let lines = tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr);
    let _ = match log.format {
        LogFormat::Json => lines.json().flatten_event(true).with_current_span(true).try_init(),
        LogFormat::Text => {
            lines.with_target(false).with_ansi(io::stderr().is_terminal()).try_init()
        }
    };
}

/// The level, or filter directives as they stand. boringtun calls every retry a warning, and what
/// it says is told by our own events.
fn filter(level: &str) -> EnvFilter {
    let directives = format!("{level},boringtun=off");
    let directives = if level.contains("boringtun") { level } else { &directives };
    EnvFilter::try_new(directives).unwrap_or_else(|_| EnvFilter::new("info,boringtun=off"))
}

/// An error and all that caused it, on one line.
pub fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}

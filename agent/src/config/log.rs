//! `[log]`: the log on standard error.

use egress_core::fault::Finding;
use egress_core::suggest::did_you_mean;
use serde::{Deserialize, Serialize};
use tracing_subscriber::EnvFilter;

/// What a line of the log may be.
const LEVELS: [&str; 5] = ["error", "warn", "info", "debug", "trace"];

/// `[log]`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Log {
    /// `json` or `text`.
    pub format: LogFormat,
    /// `error`, `warn`, `info`, `debug` or `trace`, or tracing's filter directives.
    pub level: String,
}

/// How a log line is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// One object a line.
    Json,
    /// For people.
    Text,
}

impl LogFormat {
    /// As it is written.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Json => "json",
            Self::Text => "text",
        }
    }
}

impl Default for Log {
    fn default() -> Self {
        Self { format: LogFormat::Json, level: "info".into() }
    }
}

impl Log {
    /// What cannot work.
    pub(super) fn faults(&self) -> Vec<Finding> {
        let fault = level_fault(&self.level);
        fault.map(|why| Finding::fault(why).about("log.level")).into_iter().collect()
    }
}

/// Why a text is no level. The filter's own reader takes any word for the name of a module, which
/// would be all that is logged.
fn level_fault(level: &str) -> Option<String> {
    let expected = "expected error, warn, info, debug or trace, or directives such as \
                    \"info,egress_agent::session=debug\".";
    let unknown = level.split(',').find(|one| !is_directive(one));
    match (unknown, EnvFilter::try_new(level)) {
        (Some(word), _) => Some(format!("{expected}{}", did_you_mean(word, LEVELS))),
        (None, Err(error)) => Some(format!("{expected} {error}")),
        (None, Ok(_)) => None,
    }
}

fn is_directive(text: &str) -> bool {
    let is_level = |word: &str| LEVELS.iter().any(|level| level.eq_ignore_ascii_case(word));
    match text.rsplit_once('=') {
        Some((target, level)) => !target.is_empty() && (is_level(level) || level == "off"),
        None => is_level(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_level_is_one_of_five_words_or_a_list_that_has_them() {
        for level in [
            "info",
            "WARN",
            "info,egress_agent::session=debug",
            "warn,hyper=off",
            "egress_agent=trace",
            "info,egress_agent[session{session=7}]=trace",
        ] {
            assert_eq!(level_fault(level), None, "{level}");
        }
        for level in [
            "loud",
            "",
            "egress_agent",
            "info,loud",
            "info,x=loud",
            "off",
            "=info",
            "5",
            "warn, x=info",
        ] {
            assert!(level_fault(level).is_some(), "{level:?} was taken");
        }
        assert!(level_fault("debgu").unwrap().ends_with("Did you mean debug?"));
    }
}

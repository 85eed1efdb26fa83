//! What became of one statement.

use crate::fault::Finding;

/// It was taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Taken {
    /// It means something to the tunnel.
    Kept,
    /// So, and there is something to know about it.
    Noted(String),
    /// It is left out; why.
    Dropped(String),
    /// It is left out, and somebody may miss it; why.
    Missed(String),
}

/// It was refused: what was expected, which never repeats a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Refusal {
    /// The line, if it is not that of the statement.
    pub line: Option<u32>,
    pub why: String,
}

pub(super) type Verdict = Result<Taken, Refusal>;

impl Refusal {
    pub fn at(line: u32, why: impl Into<String>) -> Self {
        Self { line: Some(line), why: why.into() }
    }
}

/// What there is to say of a statement on this line, if anything.
pub(super) fn finding(verdict: &Verdict, line: u32) -> Option<Finding> {
    let finding = match verdict {
        Ok(Taken::Kept) => return None,
        Ok(Taken::Noted(note)) => Finding::note(note),
        Ok(Taken::Dropped(why)) => Finding::note(format!("left out: {why}")),
        Ok(Taken::Missed(why)) => Finding::warning(format!("left out: {why}")),
        Err(refusal) => {
            return Some(Finding::fault(&refusal.why).at_line(refusal.line.unwrap_or(line)));
        }
    };
    Some(finding.at_line(line))
}

impl From<&str> for Refusal {
    fn from(why: &str) -> Self {
        Self { line: None, why: why.to_owned() }
    }
}

impl From<String> for Refusal {
    fn from(why: String) -> Self {
        Self { line: None, why }
    }
}

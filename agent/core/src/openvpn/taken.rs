//! What became of one statement.

/// It was taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Taken {
    /// It means something to the tunnel.
    Kept,
    /// So, and there is something to know about it.
    Noted(String),
    /// It is left out; why.
    Dropped(String),
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

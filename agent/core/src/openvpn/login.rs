//! What a user proves himself with: name and password, a static challenge.

use super::lexer::{Block, TEXT_MAX};
use super::quoting::quote;
use super::taken::{Refusal, Taken, Verdict};
use super::value::Value;
use crate::secret::Secret;

/// A name and a password.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Login {
    /// Sent in clear inside TLS.
    pub username: String,
    /// Never shown.
    pub password: Secret<String>,
}

/// A question that is the same at every connect, such as one for a token's code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StaticChallenge {
    /// To be shown to the user.
    pub text: String,
    /// The answer may be seen while it is typed.
    pub echo: bool,
}

/// The most bytes of a question between quotes.
const QUESTION_MAX: usize = TEXT_MAX - "static-challenge  0".len();

/// Reads an `<auth-user-pass>`: two lines.
pub(super) fn read_login(block: Block<'_>) -> Result<Login, Refusal> {
    let mut lines = block.text.lines();
    let username = lines.next().unwrap_or_default();
    let password = lines.next().unwrap_or_default();
    if username.is_empty() || password.is_empty() {
        return Err(Refusal::from("expected a line with a name and one with a password"));
    }
    Ok(Login { username: username.to_owned(), password: Secret::new(password.to_owned()) })
}

/// Reads a `static-challenge`.
pub(super) fn read_challenge(parameters: &[String]) -> Result<StaticChallenge, Refusal> {
    let [text, echo] = parameters else {
        return Err(Refusal::from("expected a text, then 0 or 1"));
    };
    Value::OneOf(&["0", "1"]).check(echo)?;
    let written = quote(text).map_err(|why| why.to_string())?;
    if written.len() > QUESTION_MAX {
        return Err(Refusal::from("too long for openvpn to read"));
    }
    Ok(StaticChallenge { text: text.clone(), echo: echo == "1" })
}

/// Of an `auth-user-pass`: what stands there is not used.
pub(super) fn dropped(parameters: &[String]) -> Verdict {
    match parameters {
        [] => Ok(Taken::Dropped("name and password come from the credential".to_owned())),
        [_] => Ok(Taken::Dropped(
            "name and password come from the credential: the file is never read".to_owned(),
        )),
        [_, _, ..] => Err(Refusal::from("expected at most one parameter")),
    }
}

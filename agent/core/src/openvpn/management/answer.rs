//! Answers to questions that go where a password would.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::message::DynamicChallenge;
use crate::secret::Secret;

/// A password, and the answer to the question of `static-challenge`.
pub fn static_answer(password: &Secret<String>, answer: &Secret<String>) -> Secret<String> {
    let (password, answer) = (encoded(password), encoded(answer));
    concatenated(&["SCRV1:", password.expose(), ":", answer.expose()])
}

/// What goes in place of the password once a server has asked. It goes with
/// [`DynamicChallenge::username`].
pub fn dynamic_answer(challenge: &DynamicChallenge, answer: &Secret<String>) -> Secret<String> {
    concatenated(&["CRV1::", challenge.state.expose(), "::", answer.expose()])
}

/// A text in base64.
pub(super) fn encoded(text: &Secret<String>) -> Secret<String> {
    Secret::new(STANDARD.encode(text.expose()))
}

fn concatenated(parts: &[&str]) -> Secret<String> {
    let mut text = String::with_capacity(parts.iter().map(|part| part.len()).sum());
    text.extend(parts.iter().copied());
    Secret::new(text)
}

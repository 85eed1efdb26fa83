//! A text as one word that openvpn reads back as it was, in configs and management commands alike.

use super::lexer::WORD_MAX;

/// Why a text cannot be one word of openvpn's. It never repeats the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unquotable {
    /// openvpn would skip it, or end the line at it.
    #[error("a NUL, newline or control character cannot be said to openvpn")]
    Control,
    /// openvpn 2.6 cuts nothing, it refuses.
    #[error("longer than 256 bytes: openvpn does not take it as a parameter")]
    TooLong,
}

/// Writes a text between quotes, `\` and `"` behind a backslash.
pub(super) fn quote(text: &str) -> Result<String, Unquotable> {
    if text.chars().any(char::is_control) {
        return Err(Unquotable::Control);
    }
    if text.len() > WORD_MAX {
        return Err(Unquotable::TooLong);
    }
    // Enough for the worst case: a secret must not be left behind in a buffer that grew.
    let mut quoted = String::with_capacity(2 * text.len() + 2);
    quoted.push('"');
    for c in text.chars() {
        if matches!(c, '"' | '\\') {
            quoted.push('\\');
        }
        quoted.push(c);
    }
    quoted.push('"');
    Ok(quoted)
}

/// Writes a text as it is where that is one word, else between quotes.
pub(super) fn word(text: &str) -> Result<String, Unquotable> {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"._:/,@+=-".contains(&b);
    if !text.is_empty() && text.len() <= WORD_MAX && text.bytes().all(plain) {
        return Ok(text.to_owned());
    }
    quote(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::openvpn::lexer::words;

    #[test]
    fn what_is_quoted_is_read_back() {
        for text in ["", "a", "we\"ird\\pa'ss #1;x", " leading", "ünïcöde ☃", "\\", "\"\"", "--x"]
        {
            for quoted in [quote(text).unwrap(), word(text).unwrap()] {
                assert_eq!(words(&quoted), Ok(vec![text.to_owned()]), "{quoted}");
            }
        }
    }

    #[test]
    fn what_cannot_be_said_is_refused() {
        for text in ["a\0", "a\nb", "a\r", "\t", "\u{7f}", "\u{85}"] {
            assert_eq!(quote(text), Err(Unquotable::Control), "{text:?}");
        }
        assert!(quote(&"x".repeat(256)).is_ok());
        assert_eq!(quote(&"ü".repeat(129)), Err(Unquotable::TooLong));
    }
}

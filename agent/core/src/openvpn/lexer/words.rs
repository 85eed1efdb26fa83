//! One line, cut into words as openvpn's `parse_line` does.

/// The most bytes of a word.
pub(in crate::openvpn) const WORD_MAX: usize = 256;
/// The most words of a line.
const WORDS_MAX: usize = 16;

enum State {
    Between,
    Bare,
    /// Between `"`, where `\` escapes.
    Double,
    /// Between `'`, where nothing does.
    Single,
}

/// Cuts a line without its end. An error says what is wrong and never repeats the line.
pub(in crate::openvpn) fn words(line: &str) -> Result<Vec<String>, &'static str> {
    let mut cutter = Cutter { words: Vec::new(), word: String::new(), state: State::Between };
    let mut chars = line.chars();
    while let Some(c) = chars.next() {
        if c == '\\' && !matches!(cutter.state, State::Single) {
            let escaped = chars.next().ok_or("a backslash at the end of the line")?;
            if cutter.take_escaped(escaped)? {
                break;
            }
        } else if cutter.take(c)? {
            break;
        }
    }
    cutter.finish()
}

struct Cutter {
    words: Vec<String>,
    word: String,
    state: State,
}

impl Cutter {
    /// Takes a character; true is the beginning of a comment.
    fn take(&mut self, c: char) -> Result<bool, &'static str> {
        match self.state {
            State::Between if is_space(c) => {}
            State::Between if starts_comment(c) => return Ok(true),
            State::Between => self.begin(c)?,
            State::Bare if is_space(c) => self.end(),
            State::Double if c == '"' => self.end(),
            State::Single if c == '\'' => self.end(),
            State::Bare | State::Double | State::Single => self.push(c)?,
        }
        Ok(false)
    }

    /// Takes a character behind a backslash. Between words openvpn skips blanks and begins comments
    /// all the same.
    fn take_escaped(&mut self, c: char) -> Result<bool, &'static str> {
        if matches!(self.state, State::Between) {
            if is_space(c) {
                return Ok(false);
            }
            if starts_comment(c) {
                return Ok(true);
            }
            self.room_for_a_word()?;
            self.state = State::Bare;
        }
        if !(c == '\\' || c == '"' || is_space(c)) {
            return Err("a backslash may stand before \\, \" and a blank only");
        }
        self.push(c)?;
        Ok(false)
    }

    fn begin(&mut self, c: char) -> Result<(), &'static str> {
        self.room_for_a_word()?;
        match c {
            '"' => self.state = State::Double,
            '\'' => self.state = State::Single,
            c => {
                self.state = State::Bare;
                self.push(c)?;
            }
        }
        Ok(())
    }

    /// openvpn would skip the words from the seventeenth on.
    fn room_for_a_word(&self) -> Result<(), &'static str> {
        if self.words.len() == WORDS_MAX {
            return Err("more than 16 words");
        }
        Ok(())
    }

    fn push(&mut self, c: char) -> Result<(), &'static str> {
        if self.word.len() + c.len_utf8() > WORD_MAX {
            return Err("a word longer than 256 bytes");
        }
        self.word.push(c);
        Ok(())
    }

    fn end(&mut self) {
        self.words.push(std::mem::take(&mut self.word));
        self.state = State::Between;
    }

    fn finish(mut self) -> Result<Vec<String>, &'static str> {
        match self.state {
            State::Between => {}
            State::Bare => self.end(),
            State::Double => return Err("no closing \""),
            State::Single => return Err("no closing '"),
        }
        Ok(self.words)
    }
}

/// `isspace(3)` in the C locale.
fn is_space(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\n' | '\u{b}' | '\u{c}' | '\r')
}

fn starts_comment(c: char) -> bool {
    matches!(c, '#' | ';')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_backslashes_and_comments_are_openvpns() {
        for (line, expected) in [
            ("", &[] as &[&str]),
            ("  a\tb  ", &["a", "b"]),
            ("a # b", &["a"]),
            ("a ;b", &["a"]),
            ("a#b c;d", &["a#b", "c;d"]),
            (r#""a b" 'c d'"#, &["a b", "c d"]),
            (r#""a"b"#, &["a", "b"]),
            (r#"a"b"c"#, &[r#"a"b"c"#]),
            (r#""" '' x"#, &["", "", "x"]),
            ("\"#;\"", &["#;"]),
            (r#"a\ b \\ \" "\"\\""#, &["a b", r"\", "\"", "\"\\"]),
            (r"'a\b\'", &[r"a\b\"]),
            (r"\ a \#b", &["a"]),
            (r#""it's" 'say "x"'"#, &["it's", "say \"x\""]),
        ] {
            assert_eq!(words(line).as_deref(), Ok(expected.map_to_strings().as_slice()), "{line}");
        }
    }

    trait MapToStrings {
        fn map_to_strings(&self) -> Vec<String>;
    }

    impl MapToStrings for [&str] {
        fn map_to_strings(&self) -> Vec<String> {
            self.iter().map(|word| (*word).to_owned()).collect()
        }
    }

    #[test]
    fn what_openvpn_would_refuse_or_cut_is_an_error() {
        let long = "x".repeat(257);
        let many = "x ".repeat(17);
        for line in [r"a\b", r#""a"#, "'a", r"a\", r"a \'b'", &long, &many] {
            assert!(words(line).is_err(), "{line:?} was taken");
        }
        assert_eq!(words(&long[1..]).map(|words| words.len()), Ok(1));
        assert_eq!(words(&format!("{}# {many}", &many[2..])).map(|words| words.len()), Ok(16));
    }
}

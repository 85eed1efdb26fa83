//! wg-quick text, cut into lines.

/// A line that holds something.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Line<'a> {
    /// From 1.
    pub number: u32,
    pub content: Content<'a>,
    /// What stands behind `#` or `;`.
    pub comment: Option<&'a str>,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Content<'a> {
    /// Nothing but white space or a comment.
    Blank,
    /// `[name]`
    Section(&'a str),
    /// `key = value`
    Pair { key: &'a str, value: &'a str },
    /// Neither; what was expected.
    Malformed(&'static str),
}

/// Cuts a text into lines; a byte order mark before the first and a CR before a line's end are
/// not part of them.
pub(super) fn lines(text: &str) -> impl Iterator<Item = Line<'_>> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    text.split('\n').zip(1..).map(|(line, number)| read(line, number))
}

fn read(line: &str, number: u32) -> Line<'_> {
    let line = line.strip_suffix('\r').unwrap_or(line);
    let (code, comment) = cut_comment(line);
    let content = if line.chars().any(|c| c.is_control() && c != '\t') {
        Content::Malformed("a NUL or control character is not allowed")
    } else {
        classify(code.trim())
    };
    Line { number, content, comment }
}

/// `#` starts a comment anywhere, `;` only at the start or after white space.
fn cut_comment(line: &str) -> (&str, Option<&str>) {
    let starts_comment = |&(at, c): &(usize, char)| match c {
        '#' => true,
        ';' => line[..at].chars().next_back().is_none_or(char::is_whitespace),
        _ => false,
    };
    match line.char_indices().find(starts_comment) {
        Some((at, _)) => (&line[..at], Some(&line[at + 1..])),
        None => (line, None),
    }
}

fn classify(code: &str) -> Content<'_> {
    if code.is_empty() {
        return Content::Blank;
    }
    if let Some(rest) = code.strip_prefix('[') {
        return match rest.strip_suffix(']') {
            Some(name) => Content::Section(name.trim()),
            None => Content::Malformed("a section header ends in ]"),
        };
    }
    match code.split_once('=') {
        Some((key, value)) => match key.trim() {
            "" => Content::Malformed("no key before the ="),
            key => Content::Pair { key, value: value.trim() },
        },
        None => Content::Malformed("expected [Section], key = value or a # comment"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn contents(text: &str) -> Vec<Content<'_>> {
        lines(text).map(|line| line.content).collect()
    }

    #[test]
    fn white_space_comments_crlf_and_a_bom_do_not_matter() {
        assert_eq!(
            contents("\u{feff}[ Interface ]\r\n\tMTU=1280 # why\r\n; note\n  #\nA = b=\n"),
            [
                Content::Section("Interface"),
                Content::Pair { key: "MTU", value: "1280" },
                Content::Blank,
                Content::Blank,
                Content::Pair { key: "A", value: "b=" },
                Content::Blank,
            ]
        );
    }

    #[test]
    fn a_semicolon_inside_a_value_is_part_of_it() {
        let value = "a;b";
        assert_eq!(contents("K = a;b ; c"), [Content::Pair { key: "K", value }]);
    }

    #[test]
    fn control_characters_are_refused_in_comments_too() {
        for text in ["MTU = 1\0", "# \u{1b}[31m", "A = b\rC = d", "\u{85}"] {
            assert!(matches!(contents(text)[..], [Content::Malformed(_)]), "{text:?} was taken");
        }
    }
}

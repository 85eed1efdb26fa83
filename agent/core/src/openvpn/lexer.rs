//! `.ovpn` text, cut into statements by openvpn's own rules.
//!
//! The rules are those of `read_config_file` and `read_inline_file` in openvpn 2.6's `options.c`:
//! lines and parameters have at most 255 and 256 bytes, a line `<tag>` begins a block that ends at
//! the first line beginning with `</tag>`. What openvpn would cut, skip or read in two ways is a
//! fault here.

mod words;

pub(super) use words::{WORD_MAX, words};

use crate::fault::{Finding, Report};

/// The most bytes of a line without its end.
pub(super) const TEXT_MAX: usize = LINE_MAX - 1;
/// The most bytes of a line with its end: openvpn's buffer has 256, one of them for the NUL.
const LINE_MAX: usize = 255;
/// What openvpn reads of a block's line at once.
pub(super) const CHUNK: usize = 255;

/// A line that says something.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Statement<'a> {
    /// From 1.
    pub line: u32,
    /// A directive's name without leading `--`, or that of a block's tag.
    pub name: String,
    /// Its parameters; a block has none.
    pub parameters: Vec<String>,
    pub block: Option<Block<'a>>,
}

/// What stands between `<tag>` and `</tag>`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Block<'a> {
    /// The number of its first line.
    pub line: u32,
    pub text: &'a str,
}

/// Cuts a whole text into statements. A byte order mark before its first line is not part of it.
pub(super) fn statements<'a>(text: &'a str, report: &mut Report) -> Vec<Statement<'a>> {
    let bare = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut lines = Lines { rest: bare, number: 1, skipped: text.len() - bare.len() };
    read(&mut lines, report)
}

/// Cuts a block's text into statements.
pub(super) fn statements_within<'a>(block: Block<'a>, report: &mut Report) -> Vec<Statement<'a>> {
    read(&mut Lines { rest: block.text, number: block.line, skipped: 0 }, report)
}

fn read<'a>(lines: &mut Lines<'a>, report: &mut Report) -> Vec<Statement<'a>> {
    let mut statements = Vec::new();
    while let Some(line) = lines.next() {
        match line.checked().and_then(words) {
            Err(why) => report.push(Finding::fault(why).at_line(line.number)),
            Ok(words) => statements.extend(statement(words, line.number, lines, report)),
        }
    }
    statements
}

fn statement<'a>(
    words: Vec<String>,
    line: u32,
    lines: &mut Lines<'a>,
    report: &mut Report,
) -> Option<Statement<'a>> {
    let mut words = words.into_iter();
    let first = words.next()?;
    let parameters: Vec<String> = words.collect();
    let name = match first.strip_prefix("--") {
        Some(rest) if !rest.is_empty() => rest.to_owned(),
        Some(_) | None => first,
    };
    let tag = name.strip_prefix('<').and_then(|rest| rest.strip_suffix('>'));
    match tag {
        Some(tag) if parameters.is_empty() => {
            let block = lines.block(tag, line, report)?;
            Some(Statement { line, name: tag.to_owned(), parameters, block: Some(block) })
        }
        Some(_) | None => Some(Statement { line, name, parameters, block: None }),
    }
}

/// One line and its end.
struct Line<'a> {
    number: u32,
    raw: &'a str,
    /// Bytes that stood before it and count as part of it.
    skipped: usize,
}

impl<'a> Line<'a> {
    fn text(&self) -> &'a str {
        let text = self.raw.strip_suffix('\n').unwrap_or(self.raw);
        text.trim_end_matches('\r')
    }

    /// Its text, if openvpn would read it whole and as it stands there.
    fn checked(&self) -> Result<&'a str, &'static str> {
        if self.skipped + self.raw.len() > LINE_MAX {
            return Err("longer than 254 bytes: openvpn does not read it");
        }
        self.printable()?;
        Ok(self.text())
    }

    fn printable(&self) -> Result<(), &'static str> {
        let text = self.text();
        if text.contains('\u{feff}') {
            return Err("a byte order mark inside the text is not allowed");
        }
        if text.chars().any(|c| c.is_control() && c != '\t') {
            return Err("a NUL or control character is not allowed");
        }
        Ok(())
    }
}

struct Lines<'a> {
    rest: &'a str,
    number: u32,
    skipped: usize,
}

impl<'a> Lines<'a> {
    fn next(&mut self) -> Option<Line<'a>> {
        if self.rest.is_empty() {
            return None;
        }
        let end = self.rest.find('\n').map_or(self.rest.len(), |at| at + 1);
        let (raw, rest) = self.rest.split_at(end);
        let line = Line { number: self.number, raw, skipped: self.skipped };
        self.rest = rest;
        self.number += 1;
        self.skipped = 0;
        Some(line)
    }

    /// Reads on to the end tag. A block without one takes the rest of the text with it.
    fn block(&mut self, tag: &str, opened: u32, report: &mut Report) -> Option<Block<'a>> {
        if tag.starts_with('/') {
            let message = "an end tag without a beginning";
            report.push(Finding::fault(message).at_line(opened));
            return None;
        }
        let end_tag = format!("</{tag}>");
        let (line, start) = (self.number, self.rest);
        let mut length = 0;
        while let Some(line_of_it) = self.next() {
            if let Some(end) = end_of(line_of_it.raw, &end_tag) {
                check_end(&end, line_of_it.number, report);
                return Some(Block { line, text: &start[..length] });
            }
            if let Err(why) = line_of_it.printable() {
                report.push(Finding::fault(why).at_line(line_of_it.number));
            }
            length += line_of_it.raw.len();
        }
        let message = "this block has no end tag";
        report.push(Finding::fault(message).at_line(opened));
        None
    }
}

/// A line that openvpn takes for a block's end.
enum End<'a> {
    /// With what stands behind the tag.
    Tag(&'a str),
    /// The tag stands where openvpn, which reads long lines in pieces, begins a piece.
    InsideLine,
}

fn end_of<'a>(raw: &'a str, end_tag: &str) -> Option<End<'a>> {
    if let Some(behind) = raw.trim_ascii_start().strip_prefix(end_tag) {
        return Some(End::Tag(behind));
    }
    let begins = |piece: &[u8]| piece.trim_ascii_start().starts_with(end_tag.as_bytes());
    raw.as_bytes().chunks(CHUNK).skip(1).any(begins).then_some(End::InsideLine)
}

fn check_end(end: &End<'_>, line: u32, report: &mut Report) {
    let message = match end {
        End::Tag(behind) if is_comment(behind) => return,
        End::Tag(_) => "something stands behind the end tag",
        End::InsideLine => "an end tag inside a long line",
    };
    report.push(Finding::fault(message).at_line(line));
}

fn is_comment(text: &str) -> bool {
    let text = text.trim_ascii();
    text.is_empty() || text.starts_with(['#', ';'])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> (Vec<Statement<'_>>, Vec<(Option<u32>, String)>) {
        let mut report = Report::default();
        let statements = statements(text, &mut report);
        let findings = report.by_line().into_iter().map(|found| (found.line, found.message));
        (statements, findings.collect())
    }

    fn first_fault(text: &str) -> (Option<u32>, String) {
        read(text).1.first().unwrap_or_else(|| panic!("{text:?} was taken")).clone()
    }

    #[test]
    fn comments_crlf_a_bom_and_leading_dashes_do_not_matter() {
        let (statements, faults) =
            read("\u{feff}client\r\n# a\r\n;b\r\n\t--dev  tun # c\r\n\r\r\n");
        assert_eq!(faults, []);
        let said: Vec<_> =
            statements.iter().map(|s| (s.line, &s.name[..], &s.parameters)).collect();
        assert_eq!(said, [(1, "client", &vec![]), (4, "dev", &vec!["tun".to_owned()])]);
    }

    #[test]
    fn a_block_ends_at_its_own_end_tag() {
        let (statements, faults) = read("<ca>\n</cert>\n <ca>\n  </ca> # end\nverb 3\n");
        assert_eq!(faults, []);
        assert_eq!(statements[0].block, Some(Block { line: 2, text: "</cert>\n <ca>\n" }));
        assert_eq!((statements[1].line, &statements[1].name[..]), (5, "verb"));
    }

    #[test]
    fn a_tag_may_be_quoted_or_dashed_as_openvpn_takes_it_too() {
        for text in ["\"<ca>\"\nx\n</ca>\n", "--<ca>\nx\n</ca>\n", "<ca> # why\nx\n</ca>"] {
            let (statements, faults) = read(text);
            assert_eq!(faults, [], "{text:?}");
            assert_eq!(statements[0].block.unwrap().text, "x\n");
        }
    }

    #[test]
    fn blocks_that_openvpn_would_read_in_its_own_way_are_faults() {
        assert_eq!(first_fault("<ca>\nx\n").0, Some(1));
        assert_eq!(first_fault("client\n</ca>\n").0, Some(2));
        assert_eq!(first_fault("<ca>\nx\n</ca> plugin x.so\n").0, Some(3));
        let hidden = format!("<ca>\n{}</ca>\nplugin x.so\n</ca>\n", "A".repeat(255));
        assert_eq!(first_fault(&hidden), (Some(2), "an end tag inside a long line".to_owned()));
    }

    #[test]
    fn a_line_has_at_most_254_bytes_before_its_end() {
        let comment = |length: usize| format!("#{}\n", "x".repeat(length - 1));
        assert_eq!(read(&comment(254)).1, []);
        assert_eq!(first_fault(&comment(255)).0, Some(1));
        assert_eq!(read(&format!("<ca>\n{}\n</ca>", "A".repeat(1000))).1, []);
    }

    #[test]
    fn nul_control_characters_and_a_bom_in_the_middle_are_refused_everywhere() {
        for bad in ["\0", "\u{1b}[31m", "a\rb", "\u{feff}", "\u{85}", "\u{b}"] {
            assert_eq!(first_fault(&format!("client\n{bad}x\n")).0, Some(2), "{bad:?}");
            assert_eq!(first_fault(&format!("#{bad}x\n")).0, Some(1), "{bad:?}");
            assert_eq!(first_fault(&format!("<ca>\n{bad}x\n</ca>\n")).0, Some(2), "{bad:?}");
        }
    }
}

//! A text without what is not for everybody's eyes. Its lines keep their numbers.

use super::directive::{self, Part, Reading, Rule};
use super::lexer::{Block, Statement, statements, statements_within};
use super::login::{Login, read_login};
use super::quoting::word;
use crate::fault::{Report, Severity};

const NOT_SHOWN: &str = "[not shown]";

/// The text without the name and password that stand in it, and those. What is left still asks for
/// them, and it still holds keys.
pub fn strip_login(text: &str) -> (String, Option<Login>) {
    let mut unheard = Report::default();
    let mut login = None;
    let mut lines: Vec<&str> = text.split('\n').collect();
    for statement in statements(text, &mut unheard) {
        let Some(block) = statement.block.filter(|_| reads(&statement, Reading::Credentials))
        else {
            continue;
        };
        login = read_login(block).ok().or(login);
        cut(&mut lines, statement.line, block);
    }
    (lines.join("\n"), login)
}

/// Puts a line that asks for a login in place of a block that holds one.
fn cut(lines: &mut [&str], opened: u32, block: Block<'_>) {
    for line in opened..=end_of(block) {
        set(lines, line, "#");
    }
    set(lines, opened, "auth-user-pass");
}

/// The text without keys, passwords and comments, to be shown. Of a text that cannot be cut into
/// statements nothing is shown.
pub fn redact(text: &str) -> String {
    let mut report = Report::default();
    let statements = statements(text, &mut report);
    if report.by_line().iter().any(|finding| finding.severity == Severity::Fault) {
        return NOT_SHOWN.to_owned();
    }
    let mut lines = vec![String::new(); text.split('\n').count()];
    for statement in &statements {
        show(statement, &mut lines);
    }
    lines.join("\n")
}

fn show(statement: &Statement<'_>, lines: &mut [String]) {
    let Some(block) = statement.block else {
        return set(lines, statement.line, written(statement));
    };
    set(lines, statement.line, format!("<{}>", statement.name));
    set(lines, end_of(block), format!("</{}>", statement.name));
    if reads(statement, Reading::Connection) {
        let inner = statements_within(block, &mut Report::default());
        return inner.iter().for_each(|statement| show(statement, lines));
    }
    for (line, number) in block.text.lines().zip(block.line..) {
        let shown = if is_public(statement) { line } else { NOT_SHOWN };
        set(lines, number, shown.to_owned());
    }
}

/// A statement without the comment behind it. Of one that means nothing to the tunnel only the name
/// is shown: what else stands there may be anything.
fn written(statement: &Statement<'_>) -> String {
    let (name, parameters) = (&statement.name, &statement.parameters);
    let shown = match directive::find(name) {
        Some((_, Rule::Pass(_) | Rule::Read(_))) => !reads(statement, Reading::Setenv),
        Some((_, Rule::Drop(_) | Rule::Miss(_) | Rule::Hook | Rule::Refuse(_))) => false,
        None => return NOT_SHOWN.to_owned(),
    };
    if !shown && !parameters.is_empty() {
        return format!("{name} {NOT_SHOWN}");
    }
    let words = std::iter::once(name).chain(parameters);
    let written = words.map(|text| word(text).unwrap_or_else(|_| NOT_SHOWN.to_owned()));
    written.collect::<Vec<_>>().join(" ")
}

fn is_public(statement: &Statement<'_>) -> bool {
    const PUBLIC: [Reading; 6] = [
        Reading::Material(Part::Ca),
        Reading::Material(Part::Cert),
        Reading::Material(Part::ExtraCerts),
        Reading::Material(Part::Crl),
        Reading::VerifyHash,
        Reading::PeerFingerprint,
    ];
    PUBLIC.into_iter().any(|reading| reads(statement, reading))
}

fn reads(statement: &Statement<'_>, reading: Reading) -> bool {
    matches!(directive::find(&statement.name), Some((_, Rule::Read(found))) if found == reading)
}

/// The line of a block's end tag.
fn end_of(block: Block<'_>) -> u32 {
    (block.line..).zip(block.text.lines()).last().map_or(block.line, |(line, _)| line + 1)
}

fn set<T>(lines: &mut [T], number: u32, text: T) {
    let index = usize::try_from(number).unwrap_or(usize::MAX).saturating_sub(1);
    if let Some(line) = lines.get_mut(index) {
        *line = text;
    }
}

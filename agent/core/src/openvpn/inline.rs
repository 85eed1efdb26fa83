//! Files that a text names, put between tags.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::directive::{self, Part, Reading, Rule};
use super::lexer::{Statement, statements};
use super::material::tag;
use super::parse::SIZE_MAX;
use crate::fault::Report;

/// A line that names a file whose content belongs between tags.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileReference {
    /// From 1.
    pub line: u32,
    /// The directive.
    pub directive: String,
    /// As it stands there: it may lead anywhere.
    pub path: String,
}

/// The files that a text names. What a faulty line names is not among them.
pub fn file_references(text: &str) -> Vec<FileReference> {
    let reference = |found: Found| FileReference {
        line: found.line,
        directive: tag(found.part).to_owned(),
        path: found.path,
    };
    found(text).into_iter().map(reference).collect()
}

/// A text with files put into it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inlined {
    /// The text.
    pub text: String,
    /// For each of its lines the one of the former text that it stands for.
    origins: Vec<u32>,
}

impl Inlined {
    /// The line of the former text that a line of this one stands for; both from 1.
    pub fn origin(&self, line: u32) -> u32 {
        let at = usize::try_from(line).unwrap_or(usize::MAX).saturating_sub(1);
        self.origins.get(at).or(self.origins.last()).copied().unwrap_or(line)
    }
}

/// Puts files between tags, where the lines stand that name them. `read` gives a file's content;
/// a line whose file it does not give stays as it is, and so do the lines from where the text has
/// become longer than a config may be. The result is as good as what was read: [`super::parse`] is
/// still to be asked.
pub fn inline_files(
    text: &str,
    mut read: impl FnMut(&FileReference) -> Option<Vec<u8>>,
) -> Inlined {
    let mut references = found(text).into_iter().peekable();
    let mut inlined = Inlined { text: String::with_capacity(text.len()), origins: Vec::new() };
    for (line, number) in text.split_inclusive('\n').zip(1..) {
        let named = references.next_if(|found| found.line == number);
        let named = named.filter(|_| inlined.text.len() <= SIZE_MAX);
        let block = named.and_then(|found| found.inlined(&mut read));
        let put = block.as_deref().unwrap_or(line);
        inlined.text.push_str(put);
        inlined.origins.extend(put.split_inclusive('\n').map(|_| number));
    }
    inlined
}

struct Found {
    line: u32,
    part: Part,
    path: String,
    /// Only `tls-auth` has one behind the file's name.
    direction: Option<String>,
}

impl Found {
    fn of(statement: Statement<'_>) -> Option<Self> {
        let (_, Rule::Read(Reading::Material(part))) = directive::find(&statement.name)? else {
            return None;
        };
        let mut parameters = statement.parameters.into_iter();
        let path = parameters.next().filter(|path| path != "[inline]")?;
        Some(Self { line: statement.line, part, path, direction: parameters.next() })
    }

    fn inlined(self, read: &mut impl FnMut(&FileReference) -> Option<Vec<u8>>) -> Option<String> {
        let tag = tag(self.part);
        let reference =
            FileReference { line: self.line, directive: tag.to_owned(), path: self.path };
        let content = text_of(self.part, read(&reference)?)?;
        let direction = match (self.part, self.direction) {
            (Part::TlsAuth, Some(direction)) => format!("key-direction {direction}\n"),
            (_, _) => String::new(),
        };
        let end = if content.ends_with('\n') { "" } else { "\n" };
        Some(format!("{direction}<{tag}>\n{content}{end}</{tag}>\n"))
    }
}

fn found(text: &str) -> Vec<Found> {
    let mut unheard = Report::default();
    statements(text, &mut unheard).into_iter().filter_map(Found::of).collect()
}

/// PKCS #12 is the only one that is no text.
fn text_of(part: Part, content: Vec<u8>) -> Option<String> {
    match part {
        Part::Pkcs12 => Some(in_lines(&STANDARD.encode(content))),
        Part::Ca
        | Part::Cert
        | Part::Key
        | Part::ExtraCerts
        | Part::Crl
        | Part::TlsAuth
        | Part::TlsCrypt
        | Part::TlsCryptV2 => String::from_utf8(content).ok(),
    }
}

fn in_lines(base64: &str) -> String {
    let lines: Vec<_> = base64.as_bytes().chunks(64).map(String::from_utf8_lossy).collect();
    lines.join("\n")
}

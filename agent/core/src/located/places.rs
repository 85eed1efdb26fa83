//! Where the fields of a document stand in its file.

use std::collections::BTreeMap;

use crate::fault::Finding;

/// The places of a document's fields, by path (`gateway[3].config`). Empty for a request body.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Places {
    file: Option<String>,
    lines: BTreeMap<String, FieldPlace>,
    /// Texts with lines of their own.
    texts: BTreeMap<String, TextPlace>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct FieldPlace {
    /// A file that was joined to the document, or the document's own.
    file: Option<String>,
    line: u32,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct TextPlace {
    /// Another file, or the document's own.
    file: Option<String>,
    /// The line of the file that is the text's first.
    first_line: u32,
}

impl Places {
    pub(crate) fn of_file(file: &str) -> Self {
        Self { file: Some(file.to_owned()), ..Self::default() }
    }

    /// A field stands on this line.
    pub(crate) fn field(&mut self, path: String, line: u32) {
        self.lines.insert(path, FieldPlace { file: None, line });
    }

    /// A field's text starts on this line of the document.
    pub(crate) fn text(&mut self, path: String, first_line: u32) {
        self.texts.insert(path, TextPlace { file: None, first_line });
    }

    /// A field's text is the content of another file.
    pub(crate) fn text_came_from(&mut self, field: &str, file: &str) {
        let place = TextPlace { file: Some(file.to_owned()), first_line: 1 };
        self.texts.insert(field.to_owned(), place);
    }

    /// Takes in the places of another document, whose fields have the paths that `shift` says.
    pub(crate) fn join(&mut self, other: Self, shift: impl Fn(&str) -> String) {
        let file = other.file;
        for (path, place) in other.lines {
            let file = place.file.or_else(|| file.clone());
            self.lines.insert(shift(&path), FieldPlace { file, ..place });
        }
        for (path, place) in other.texts {
            let file = place.file.or_else(|| file.clone());
            self.texts.insert(shift(&path), TextPlace { file, ..place });
        }
    }

    /// Gives findings that name a field the line of that field, or of the nearest field around
    /// it; in the order of the lines.
    pub fn locate(&self, findings: Vec<Finding>) -> Vec<Finding> {
        let mut findings: Vec<_> = findings.into_iter().map(|it| self.locate_one(it)).collect();
        let other_file = |finding: &Finding| finding.file != self.file;
        findings.sort_by(|a, b| {
            (other_file(a), &a.file, a.line).cmp(&(other_file(b), &b.file, b.line))
        });
        findings
    }

    fn locate_one(&self, mut finding: Finding) -> Finding {
        if finding.file.is_some() {
            return finding;
        }
        let Some(path) = finding.field.clone() else {
            finding.file.clone_from(&self.file);
            return finding;
        };
        if let Some((line, text)) = finding.line.zip(nearest(&self.texts, &path)) {
            finding.file = text.file.clone().or_else(|| self.file.clone());
            finding.line = Some(text.first_line + line - 1);
        } else if finding.line.is_none()
            && let Some(place) = nearest(&self.lines, &path)
        {
            finding.file = place.file.clone().or_else(|| self.file.clone());
            finding.line = Some(place.line);
        }
        finding
    }
}

/// The value of the longest path that `path` starts with.
fn nearest<'a, T>(places: &'a BTreeMap<String, T>, path: &str) -> Option<&'a T> {
    let ends = path.match_indices(['.', '[']).map(|(at, _)| at).filter(|at| *at > 0);
    let mut prefixes: Vec<_> = ends.chain([path.len()]).collect();
    prefixes.reverse();
    prefixes.into_iter().find_map(|end| places.get(&path[..end]))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn located(places: &Places, finding: Finding) -> String {
        places.locate(vec![finding])[0].to_string()
    }

    #[test]
    fn a_finding_stands_where_its_field_does_or_what_is_around_it() {
        let mut places = Places::of_file("c.toml");
        places.field("gateway[0]".to_owned(), 3);
        places.field("gateway[0].config".to_owned(), 5);
        places.text("gateway[0].config".to_owned(), 6);
        places.text_came_from("gateway[1].config", "x.conf");
        let fault = || Finding::fault("wrong");
        let cases = [
            (fault().about("gateway[0].name"), "c.toml:3: gateway[0].name: wrong"),
            (fault().about("gateway[0].config"), "c.toml:5: gateway[0].config: wrong"),
            (
                fault().about("gateway[0].config.Peer.Endpoint").at_line(2),
                "c.toml:7: gateway[0].config.Peer.Endpoint: wrong",
            ),
            (
                fault().about("gateway[1].config.Peer").at_line(2),
                "x.conf:2: gateway[1].config.Peer: wrong",
            ),
            (fault().about("gateway[9].name"), "gateway[9].name: wrong"),
        ];
        for (finding, expected) in cases {
            assert_eq!(located(&places, finding), expected);
        }
    }
}

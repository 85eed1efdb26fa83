//! TOML text as a value, with the places of its fields.

use std::ops::Range;

use ::toml::Spanned;
use ::toml::de::{DeInteger, DeTable, DeValue};
use serde_json::{Map, Number, Value};

use super::places::Places;
use crate::fault::Finding;

/// Reads a text as far as it can be read. Findings have lines and no file yet; none repeats a part
/// of the text.
pub fn read(text: &str, file: &str) -> (Value, Places, Vec<Finding>) {
    let (document, errors) = DeTable::parse_recoverable(text);
    let mut reader = Reader {
        text,
        line_starts: line_starts(text),
        places: Places::of_file(file),
        findings: Vec::new(),
    };
    for error in errors {
        let finding = Finding::fault(format!("not TOML: {}", error.message()));
        let line = error.span().map(|span| reader.line(&span));
        reader.findings.push(Finding { line, file: Some(file.to_owned()), ..finding });
    }
    let value = reader.table(document.into_inner(), "");
    (value, reader.places, reader.findings)
}

/// Byte offsets at which lines start.
fn line_starts(text: &str) -> Vec<usize> {
    let breaks = text.match_indices('\n').map(|(at, _)| at + 1);
    std::iter::once(0).chain(breaks).collect()
}

struct Reader<'a> {
    text: &'a str,
    line_starts: Vec<usize>,
    places: Places,
    findings: Vec<Finding>,
}

impl Reader<'_> {
    fn line(&self, span: &Range<usize>) -> u32 {
        let before = self.line_starts.partition_point(|start| *start <= span.start);
        u32::try_from(before).unwrap_or(u32::MAX)
    }

    fn table(&mut self, table: DeTable<'_>, path: &str) -> Value {
        let mut map = Map::new();
        for (key, value) in table {
            let path = match path {
                "" => key.get_ref().to_string(),
                path => format!("{path}.{}", key.get_ref()),
            };
            self.places.field(path.clone(), self.line(&key.span()));
            let value = self.value(value, &path);
            map.insert(key.into_inner().into_owned(), value);
        }
        Value::Object(map)
    }

    fn value(&mut self, value: Spanned<DeValue<'_>>, path: &str) -> Value {
        let span = value.span();
        match value.into_inner() {
            DeValue::String(text) => {
                self.places.text(path.to_owned(), self.first_line_of_text(&span));
                Value::String(text.into_owned())
            }
            DeValue::Boolean(flag) => Value::Bool(flag),
            DeValue::Integer(number) => self.integer(&number, path, &span),
            DeValue::Float(_) | DeValue::Datetime(_) => {
                let message = "fractions and dates are not used here; quote it if it is a text";
                let fault = Finding::fault(message).about(path).at_line(self.line(&span));
                self.findings.push(fault);
                Value::Null
            }
            DeValue::Array(items) => {
                let item = |(nth, item): (usize, Spanned<DeValue<'_>>)| {
                    let path = format!("{path}[{nth}]");
                    self.places.field(path.clone(), self.line(&item.span()));
                    self.value(item, &path)
                };
                Value::Array(items.into_iter().enumerate().map(item).collect())
            }
            DeValue::Table(table) => self.table(table, path),
        }
    }

    fn integer(&mut self, number: &DeInteger<'_>, path: &str, span: &Range<usize>) -> Value {
        if let Ok(number) = i64::from_str_radix(number.as_str(), number.radix()) {
            return Value::Number(Number::from(number));
        }
        let fault = Finding::fault("a number out of range").about(path).at_line(self.line(span));
        self.findings.push(fault);
        Value::Null
    }

    /// TOML cuts the line break behind the opening quotes of a multi-line text.
    fn first_line_of_text(&self, span: &Range<usize>) -> u32 {
        let line = self.line(span);
        let source = self.text.get(span.clone()).unwrap_or_default();
        let opening = source.strip_prefix("\"\"\"").or_else(|| source.strip_prefix("'''"));
        let starts_below = opening.is_some_and(|text| text.starts_with(['\n', '\r']));
        line + u32::from(starts_below)
    }
}

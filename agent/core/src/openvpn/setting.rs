//! Directives that reach openvpn as they are.

use std::collections::BTreeMap;

use super::lexer::TEXT_MAX;
use super::quoting::word;
use super::value::number;

/// A directive's parameters, each of them one that its rule allows.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Setting {
    /// Where it stands.
    line: u32,
    parameters: Vec<String>,
}

/// At most one setting of a directive.
#[derive(Debug, Clone, Default)]
pub(super) struct Settings(BTreeMap<&'static str, Setting>);

impl PartialEq for Settings {
    /// Wherever they stand.
    fn eq(&self, other: &Self) -> bool {
        self.lines().eq(other.lines())
    }
}

impl Eq for Settings {}

impl Settings {
    /// Sets a directive; true if it was set before. An error says why openvpn would not read it.
    pub fn set(
        &mut self,
        name: &'static str,
        parameters: Vec<String>,
        line: u32,
    ) -> Result<bool, String> {
        if written(name, &parameters)?.len() > TEXT_MAX {
            return Err("too long: written out for openvpn it has more than 254 bytes".to_owned());
        }
        Ok(self.0.insert(name, Setting { line, parameters }).is_some())
    }

    /// Takes a directive away; true if it was set.
    pub fn unset(&mut self, name: &str) -> bool {
        self.0.remove(name).is_some()
    }

    /// The line that a directive stands on.
    pub fn line(&self, name: &str) -> Option<u32> {
        self.0.get(name).map(|setting| setting.line)
    }

    /// Whether a directive is set.
    pub fn has(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    /// A directive's first parameter.
    pub fn first(&self, name: &str) -> Option<&str> {
        self.0.get(name)?.parameters.first().map(String::as_str)
    }

    /// A directive's first parameter, if it is a number.
    pub fn number(&self, name: &str) -> Option<u32> {
        self.first(name).and_then(number)
    }

    /// Lines of a config, sorted by name.
    pub fn lines(&self) -> impl Iterator<Item = String> {
        self.lines_but(&[])
    }

    /// Lines of a config, sorted by name, without some.
    pub fn lines_but(&self, left_out: &[&str]) -> impl Iterator<Item = String> {
        let settings = self.0.iter().filter(|(name, _)| !left_out.contains(name));
        settings.map(|(name, setting)| {
            written(name, &setting.parameters).expect("checked when it was set")
        })
    }
}

fn written(name: &str, parameters: &[String]) -> Result<String, String> {
    let mut line = name.to_owned();
    for parameter in parameters {
        line.push(' ');
        line.push_str(&word(parameter).map_err(|why| why.to_string())?);
    }
    Ok(line)
}

//! Several files as one document.

use super::Document;

impl Document {
    /// This document with the entries of another behind its own. Findings still have the file and
    /// line of their field; the source is this one's.
    #[must_use]
    pub fn join(mut self, other: Self) -> Self {
        let offsets = [
            ("provider", self.providers.len()),
            ("gateway", self.gateways.len()),
            ("mapping", self.mappings.len()),
            ("credential", self.credentials.len()),
            ("workspace", self.workspaces.len()),
        ];
        self.places.join(other.places, |path| shifted(path, &offsets));
        self.providers.extend(other.providers);
        self.gateways.extend(other.gateways);
        self.mappings.extend(other.mappings);
        self.credentials.extend(other.credentials);
        self.workspaces.extend(other.workspaces);
        self
    }
}

/// `gateway[1].name` behind three gateways is `gateway[4].name`.
fn shifted(path: &str, offsets: &[(&str, usize)]) -> String {
    let numbered = path.split_once('[').and_then(|(kind, rest)| {
        let (nth, rest) = rest.split_once(']')?;
        let (_, offset) = offsets.iter().find(|(name, _)| *name == kind)?;
        let nth = nth.parse::<usize>().ok()? + offset;
        Some(format!("{kind}[{nth}]{rest}"))
    });
    numbered.unwrap_or_else(|| path.to_owned())
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::catalog::Catalog;

    fn read(text: &str, file: &str) -> Document {
        Document::from_toml(text, file).unwrap().0
    }

    #[test]
    fn a_joined_document_names_the_file_and_line_of_each_fault() {
        let first = read("[[provider]]\nname = \"a\"\ntype = \"custom\"\n", "a.toml");
        let second = "\n[[provider]]\nname = \"b\"\ntype = \"custom\"\n[[provider]]\nname = \"a\"\n\
                      type = \"custom\"\n[[mapping]]\nprovider = \"c\"\nuser = \"ann\"\n";
        let joined = first.join(read(second, "b.toml"));
        assert_eq!(joined.providers.len(), 3);
        let faults = joined.against(&Catalog::default(), Uuid::now_v7).unwrap_err().to_string();
        assert!(faults.contains("b.toml:5: provider[2]"), "{faults}");
        assert!(faults.contains("b.toml:9: mapping[0].provider"), "{faults}");
    }
}

//! `[roles.plugin]`: services that push gateways, each to providers of its own.

use std::fmt;

use serde::de::value::{MapAccessDeserializer, SeqAccessDeserializer};
use serde::de::{MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::{CertificateName, Name};

/// `[roles.plugin]`, or `[[roles.plugin]]` several times.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plugins(pub Vec<Plugin>);

/// One service: who it is, and which providers are its own.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Plugin {
    /// Users by name or number.
    pub users: Vec<Name>,
    /// Groups by name or number.
    pub groups: Vec<Name>,
    /// Certificates, each by one of its names.
    pub certificates: Vec<CertificateName>,
    /// Its providers by name or id; none named is every managed one.
    pub providers: Vec<String>,
}

impl Default for Plugins {
    /// One that nobody is.
    fn default() -> Self {
        Self(vec![Plugin::default()])
    }
}

impl Serialize for Plugins {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match &self.0[..] {
            [one] => one.serialize(serializer),
            several => several.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for Plugins {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(OneOrSeveral)
    }
}

struct OneOrSeveral;

impl<'de> Visitor<'de> for OneOrSeveral {
    type Value = Plugins;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a table, or a list of tables written [[roles.plugin]]")
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Plugins, A::Error> {
        let one = Plugin::deserialize(MapAccessDeserializer::new(map))?;
        Ok(Plugins(vec![one]))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<Plugins, A::Error> {
        Vec::deserialize(SeqAccessDeserializer::new(list)).map(Plugins)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Roles;

    fn read(text: &str) -> Result<Plugins, toml::de::Error> {
        toml::from_str::<Roles>(text).map(|roles| roles.plugin)
    }

    #[test]
    fn there_may_be_one_service_or_several() {
        let Plugins(one) = read("[plugin]\nusers = [7]\nproviders = [\"nordic\"]\n").unwrap();
        assert_eq!((one.len(), &one[0].providers[..]), (1, &["nordic".to_owned()][..]));
        let Plugins(two) =
            read("[[plugin]]\nusers = [7]\n[[plugin]]\ncertificates = [\"cn:p\"]\n").unwrap();
        assert_eq!((two.len(), &two[0].users[..]), (2, &[Name::Number(7)][..]));
        assert_eq!(read("").unwrap(), Plugins::default());
    }

    #[test]
    fn an_unknown_key_of_a_service_is_told_with_its_line() {
        for text in ["[plugin]\nprovider = []\n", "[[plugin]]\nprovider = []\n"] {
            let error = read(text).unwrap_err().to_string();
            assert!(error.contains("line 2") && error.contains("`providers`"), "{error}");
        }
    }
}

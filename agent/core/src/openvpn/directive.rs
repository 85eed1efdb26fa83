//! Every directive that openvpn 2.6 knows, and what becomes of it: an allow-list.

mod dropped;
mod kept;
mod refused;
mod rule;

use std::collections::BTreeMap;
use std::sync::LazyLock;

use rule::Group;
pub(super) use rule::{Part, Reading, Rule};

/// The name that openvpn 2.6 has for a directive, and what becomes of it.
pub(super) fn find(name: &str) -> Option<(&'static str, Rule)> {
    static RULES: LazyLock<BTreeMap<&str, Rule>> = LazyLock::new(|| rules().collect());
    let name = kept::ALIASES.iter().find(|(alias, _)| *alias == name).map_or(name, |(_, of)| of);
    RULES.get_key_value(name).map(|(name, rule)| (*name, *rule))
}

/// The names of all directives that have a rule here.
pub fn known() -> impl Iterator<Item = &'static str> {
    rules().map(|(name, _)| name).chain(kept::ALIASES.iter().map(|(alias, _)| *alias))
}

/// The names of all directives that a config may have and that mean something to its tunnel.
pub fn kept() -> impl Iterator<Item = &'static str> {
    let names = kept::RULES.iter().map(|(name, _)| *name);
    names.chain(kept::ALIASES.iter().map(|(alias, _)| *alias))
}

fn rules() -> impl Iterator<Item = (&'static str, Rule)> {
    let kept = kept::RULES.iter().copied();
    let read = dropped::READ.iter().map(|(name, reading)| (*name, Rule::Read(*reading)));
    kept.chain(read)
        .chain(of_groups(dropped::GROUPS, Rule::Drop))
        .chain(of_groups(dropped::MISSED, Rule::Miss))
        .chain(dropped::HOOKS.iter().map(|name| (*name, Rule::Hook)))
        .chain(of_groups(refused::GROUPS, Rule::Refuse))
}

fn of_groups(
    groups: &'static [Group],
    rule: fn(&'static str) -> Rule,
) -> impl Iterator<Item = (&'static str, Rule)> {
    groups.iter().flat_map(move |(why, names)| names.iter().map(move |name| (*name, rule(why))))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn a_directive_has_one_rule_only() {
        let names: Vec<_> = known().collect();
        let different: BTreeSet<_> = names.iter().collect();
        let twice: Vec<_> = different
            .iter()
            .filter(|name| names.iter().filter(|n| *n == **name).count() > 1)
            .collect();
        assert!(twice.is_empty(), "{twice:?}");
    }

    #[test]
    fn an_alias_leads_to_a_rule() {
        for (alias, of) in kept::ALIASES {
            assert_eq!(find(alias).map(|(name, _)| name), Some(*of));
        }
    }
}

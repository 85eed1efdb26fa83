//! Comparing what the kernel holds with what it was given: every flag, chain, rule and element, and
//! that there is nothing else.

use std::io;

use egress_core::firewall::{Chain, Rule, Ruleset};

use super::{
    attribute::{self, Attribute, are, hold, number, read, text},
    batch::base,
    connection::Connection,
    expression::{Element, Expression, Set, expressions},
    message::Message,
    read::{counter, generation, object},
    uapi,
};

/// How often a table is looked at that somebody changes meanwhile.
const LOOKS: usize = 3;

/// Why a table is not what is wanted.
#[derive(Debug)]
pub(super) enum Difference {
    /// It cannot be read.
    Unread(io::Error),
    /// It is something else: the first difference.
    Found(String),
}

impl From<io::Error> for Difference {
    fn from(error: io::Error) -> Difference {
        Difference::Unread(error)
    }
}

/// Succeeds if the table is what is wanted, as a whole, at one moment.
pub(super) fn compare(
    connection: &Connection,
    table: &str,
    ruleset: &Ruleset,
) -> Result<(), Difference> {
    for _ in 0..LOOKS {
        let before = generation(connection)?;
        let compared = Reader { connection, table }.compare(ruleset);
        if generation(connection)? == before {
            return compared;
        }
    }
    differs("somebody changes the rules all the time")
}

fn differs<T>(what: impl Into<String>) -> Result<T, Difference> {
    Err(Difference::Found(what.into()))
}

struct Reader<'a> {
    connection: &'a Connection,
    table: &'a str,
}

impl Reader<'_> {
    fn compare(&self, ruleset: &Ruleset) -> Result<(), Difference> {
        let rules: Vec<_> =
            ruleset.chains.iter().map(|chain| (chain.hook.as_str(), wanted(chain))).collect();
        self.table(ruleset.counters.len() + ruleset.chains.len())?;
        for name in &ruleset.counters {
            if counter(self.connection, self.table, name)?.is_none() {
                return differs(format!("the counter {name} is missing"));
            }
        }
        for chain in &ruleset.chains {
            self.chain(chain)?;
        }
        self.rules(&rules)
    }

    /// The table itself, and how many chains, counters and other things there are in it. Sets
    /// without a name count for the rules that look into them.
    fn table(&self, uses: usize) -> Result<(), Difference> {
        let which = [Attribute::text(uapi::NFTA_TABLE_NAME, self.table)];
        let Some(table) = object(self.connection, uapi::NFT_MSG_GETTABLE, &which)? else {
            return differs("it is missing");
        };
        // Dormant, or somebody's own.
        let flags = table.number(uapi::NFTA_TABLE_FLAGS);
        if flags != Some(0) {
            return differs(format!("its flags are {flags:?}"));
        }
        let found = table.number(uapi::NFTA_TABLE_USE);
        if found.and_then(|found| usize::try_from(found).ok()) != Some(uses) {
            return differs(format!("it holds {found:?} things in the place of {uses}"));
        }
        Ok(())
    }

    fn chain(&self, chain: &Chain) -> Result<(), Difference> {
        let name = chain.hook.as_str();
        let which = [
            Attribute::text(uapi::NFTA_CHAIN_TABLE, self.table),
            Attribute::text(uapi::NFTA_CHAIN_NAME, name),
        ];
        let found = object(self.connection, uapi::NFT_MSG_GETCHAIN, &which)?;
        let mut wanted = base(chain).to_vec();
        wanted.push(Attribute::number(uapi::NFTA_CHAIN_FLAGS, uapi::NFT_CHAIN_BASE));
        let same = found.is_some_and(|found| is(&wanted, &found, &OF_CHAINS));
        if same { Ok(()) } else { differs(format!("the chain {name} is another")) }
    }

    fn rules(&self, wanted: &[(&str, Vec<Vec<Expression>>)]) -> Result<(), Difference> {
        let count = wanted.iter().map(|(_, rules)| rules.len()).sum();
        let which = [Attribute::text(uapi::NFTA_RULE_TABLE, self.table)];
        let which = Message::new(uapi::NFT_MSG_GETRULE, &which);
        let found = match self.connection.dump_at_most(which, count) {
            Ok(found) => found,
            Err(error) if error.kind() == io::ErrorKind::QuotaExceeded => {
                return differs(format!("it has more than {count} rules"));
            }
            Err(error) => return Err(error.into()),
        };
        for (chain, rules) in wanted {
            let in_chain = |rule: &&Message| rule.text(uapi::NFTA_RULE_CHAIN) == Some(*chain);
            let found: Vec<_> = found.iter().filter(in_chain).collect();
            if found.len() != rules.len() {
                let (found, wanted) = (found.len(), rules.len());
                return differs(format!("{chain} has {found} rules in the place of {wanted}"));
            }
            for (index, (found, wanted)) in found.iter().zip(rules).enumerate() {
                if !self.is_rule(wanted, found)? {
                    return differs(format!("rule {index} of {chain} is another"));
                }
            }
        }
        Ok(())
    }

    fn is_rule(&self, wanted: &[Expression], found: &Message) -> io::Result<bool> {
        let list = found.value(uapi::NFTA_RULE_EXPRESSIONS).and_then(read);
        let Some(list) = list.filter(|list| list.len() == wanted.len()) else { return Ok(false) };
        for (wanted, (_, found)) in wanted.iter().zip(list) {
            if !self.is_expression(wanted, found)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn is_expression(&self, wanted: &Expression, found: &[u8]) -> io::Result<bool> {
        let name = attribute::value(found, uapi::NFTA_EXPR_NAME).and_then(text);
        let data = attribute::value(found, uapi::NFTA_EXPR_DATA);
        let (Some(data), true) = (data, name == Some(wanted.name)) else { return Ok(false) };
        let Some(set) = &wanted.set else { return Ok(hold(&wanted.attributes, data)) };
        let name = attribute::value(data, uapi::NFTA_LOOKUP_SET).and_then(text);
        let Some(name) = name else { return Ok(false) };
        let mut attributes = wanted.attributes.clone();
        attributes.push(Attribute::text(uapi::NFTA_LOOKUP_SET, name));
        Ok(hold(&attributes, data) && self.is_set(set, name)?)
    }

    fn is_set(&self, wanted: &Set, name: &str) -> io::Result<bool> {
        let which = [
            Attribute::text(uapi::NFTA_SET_TABLE, self.table),
            Attribute::text(uapi::NFTA_SET_NAME, name),
        ];
        let Some(found) = object(self.connection, uapi::NFT_MSG_GETSET, &which)? else {
            return Ok(false);
        };
        Ok(is(&wanted.attributes(), &found, &OF_SETS) && self.has_elements(wanted, name)?)
    }

    fn has_elements(&self, wanted: &Set, name: &str) -> io::Result<bool> {
        let which = [
            Attribute::text(uapi::NFTA_SET_ELEM_LIST_TABLE, self.table),
            Attribute::text(uapi::NFTA_SET_ELEM_LIST_SET, name),
        ];
        let which = Message::new(uapi::NFT_MSG_GETSETELEM, &which);
        // A message holds many elements, and the last one may hold none.
        let messages = match self.connection.dump_at_most(which, wanted.elements.len() + 1) {
            Ok(messages) => messages,
            Err(error) if error.kind() == io::ErrorKind::QuotaExceeded => return Ok(false),
            Err(error) => return Err(error),
        };
        let lists = messages.iter().map(|it| it.value(uapi::NFTA_SET_ELEM_LIST_ELEMENTS));
        let lists: Option<Vec<_>> = lists.map(|list| read(list?)).collect();
        let elements = lists.unwrap_or_default().into_iter().flatten();
        let Some(mut found) = elements.map(|(_, it)| element(it)).collect::<Option<Vec<_>>>()
        else {
            return Ok(false);
        };
        found.sort_unstable();
        let mut wanted = wanted.elements.clone();
        wanted.sort_unstable();
        Ok(found == wanted)
    }
}

fn wanted(chain: &Chain) -> Vec<Vec<Expression>> {
    chain.rules.iter().map(|rule: &Rule| expressions(rule)).collect()
}

/// What the kernel tells of a chain that matters: not its number, its own counters, who jumps there.
const OF_CHAINS: [u16; 4] =
    [uapi::NFTA_CHAIN_HOOK, uapi::NFTA_CHAIN_POLICY, uapi::NFTA_CHAIN_TYPE, uapi::NFTA_CHAIN_FLAGS];

/// What it tells of a set that matters: not its number, its size, how it is stored.
const OF_SETS: [u16; 9] = [
    uapi::NFTA_SET_FLAGS,
    uapi::NFTA_SET_KEY_TYPE,
    uapi::NFTA_SET_KEY_LEN,
    uapi::NFTA_SET_DATA_TYPE,
    uapi::NFTA_SET_DATA_LEN,
    uapi::NFTA_SET_TIMEOUT,
    uapi::NFTA_SET_OBJ_TYPE,
    uapi::NFTA_SET_EXPR,
    uapi::NFTA_SET_EXPRESSIONS,
];

/// Whether an object is this one, as far as these attributes go.
fn is(wanted: &[Attribute], found: &Message, matter: &[u16]) -> bool {
    let found = read(found.attributes()).unwrap_or_default();
    let found: Vec<_> = found.into_iter().filter(|(kind, _)| matter.contains(kind)).collect();
    are(wanted, &found)
}

/// An element with a key and its flags alone, and perhaps a remark of the program nft's.
fn element(found: &[u8]) -> Option<Element> {
    let found = read(found)?;
    let of = |wanted: u16| {
        let mut of_kind = found.iter().filter(move |(kind, _)| *kind == wanted);
        of_kind.next().map(|(_, value)| *value)
    };
    let key = attribute::value(of(uapi::NFTA_SET_ELEM_KEY)?, uapi::NFTA_DATA_VALUE)?.to_vec();
    let flags = of(uapi::NFTA_SET_ELEM_FLAGS).map_or(Some(0), number)?;
    let known = [uapi::NFTA_SET_ELEM_KEY, uapi::NFTA_SET_ELEM_FLAGS, uapi::NFTA_SET_ELEM_USERDATA];
    let plain = found.iter().all(|(kind, _)| known.contains(kind));
    match flags {
        0 if plain => Some((key, false)),
        uapi::NFT_SET_ELEM_INTERVAL_END if plain => Some((key, true)),
        _ => None,
    }
}

#[cfg(test)]
mod tests;

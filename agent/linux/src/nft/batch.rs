//! Transactions: all of it or nothing, and no moment between.

use std::io;

use egress_core::firewall::{Chain, Rule, Ruleset};

use super::{
    attribute::Attribute,
    connection::Connection,
    expression::{Element, Set, expressions, hook_number},
    message::Message,
    uapi,
};

// linux/netlink.h.
const NLM_F_CREATE: u16 = 0x400;
const NLM_F_APPEND: u16 = 0x800;
/// As many of a set's elements as go into one message, which has at most 64 KiB.
const ELEMENTS: usize = 500;

/// Messages that take effect together.
#[derive(Default)]
pub(super) struct Batch {
    messages: Vec<(Message, u16)>,
    sets: u32,
}

/// A counter's name, its packets, and their bytes.
pub(super) type Counted = (&'static str, u64, u64);

impl Batch {
    /// Makes the table so if it has nothing that is not named here.
    pub(super) fn amend(&mut self, table: &str, ruleset: &Ruleset) {
        self.table(table);
        for counter in &ruleset.counters {
            // One that is there goes on counting.
            self.counter(table, (counter, 0, 0));
        }
        self.chains(table, &ruleset.chains);
    }

    /// Puts another table in the place of the one of that name, with counters that go on from here.
    pub(super) fn rebuild(&mut self, table: &str, ruleset: &Ruleset, counted: &[Counted]) {
        self.remove(table);
        self.table(table);
        for counter in counted {
            self.counter(table, *counter);
        }
        self.chains(table, &ruleset.chains);
    }

    /// Takes a table away, with everything in it; none is fine.
    pub(super) fn remove(&mut self, table: &str) {
        let name = Attribute::text(uapi::NFTA_TABLE_NAME, table);
        // To delete a table that is not there is an error; without flags one that is there is left
        // as it is.
        let name = std::slice::from_ref(&name);
        self.add(uapi::NFT_MSG_NEWTABLE, NLM_F_CREATE, name);
        self.add(uapi::NFT_MSG_DELTABLE, 0, name);
    }

    /// Carries it out.
    pub(super) fn commit(self, connection: &Connection) -> io::Result<()> {
        let begin = Message::batch(uapi::NFNL_MSG_BATCH_BEGIN);
        let end = Message::batch(uapi::NFNL_MSG_BATCH_END);
        connection.transact(begin, self.messages, end)
    }

    fn add(&mut self, kind: u8, flags: u16, attributes: &[Attribute]) {
        self.messages.push((Message::new(kind, attributes), flags));
    }

    /// A table that is not dormant and belongs to no socket.
    fn table(&mut self, table: &str) {
        let attributes = [
            Attribute::text(uapi::NFTA_TABLE_NAME, table),
            Attribute::number(uapi::NFTA_TABLE_FLAGS, 0),
        ];
        self.add(uapi::NFT_MSG_NEWTABLE, NLM_F_CREATE, &attributes);
    }

    fn counter(&mut self, table: &str, (name, packets, bytes): Counted) {
        let counted = vec![
            Attribute::long(uapi::NFTA_COUNTER_BYTES, bytes),
            Attribute::long(uapi::NFTA_COUNTER_PACKETS, packets),
        ];
        let attributes = [
            Attribute::text(uapi::NFTA_OBJ_TABLE, table),
            Attribute::text(uapi::NFTA_OBJ_NAME, name),
            Attribute::number(uapi::NFTA_OBJ_TYPE, uapi::NFT_OBJECT_COUNTER),
            Attribute::nest(uapi::NFTA_OBJ_DATA, counted),
        ];
        self.add(uapi::NFT_MSG_NEWOBJ, NLM_F_CREATE, &attributes);
    }

    /// Chains with these rules and no others.
    fn chains(&mut self, table: &str, chains: &[Chain]) {
        for chain in chains {
            let name = chain.hook.as_str();
            let mut attributes = vec![
                Attribute::text(uapi::NFTA_CHAIN_TABLE, table),
                Attribute::text(uapi::NFTA_CHAIN_NAME, name),
            ];
            attributes.extend(base(chain));
            self.add(uapi::NFT_MSG_NEWCHAIN, NLM_F_CREATE, &attributes);
            let place = [
                Attribute::text(uapi::NFTA_RULE_TABLE, table),
                Attribute::text(uapi::NFTA_RULE_CHAIN, name),
            ];
            self.add(uapi::NFT_MSG_DELRULE, 0, &place);
            for rule in &chain.rules {
                self.rule(table, &place, rule);
            }
        }
    }

    fn rule(&mut self, table: &str, place: &[Attribute; 2], rule: &Rule) {
        let mut list = Vec::new();
        for mut expression in expressions(rule) {
            if let Some(set) = &expression.set {
                let number = self.set(table, set);
                let name = Attribute::text(uapi::NFTA_LOOKUP_SET, uapi::UNNAMED);
                let number = Attribute::number(uapi::NFTA_LOOKUP_SET_ID, number);
                expression.attributes.extend([name, number]);
            }
            let name = Attribute::text(uapi::NFTA_EXPR_NAME, expression.name);
            let data = Attribute::nest(uapi::NFTA_EXPR_DATA, expression.attributes);
            list.push(Attribute::nest(uapi::NFTA_LIST_ELEM, vec![name, data]));
        }
        let list = Attribute::nest(uapi::NFTA_RULE_EXPRESSIONS, list);
        let attributes = [&place[..], &[list]].concat();
        self.add(uapi::NFT_MSG_NEWRULE, NLM_F_CREATE | NLM_F_APPEND, &attributes);
    }

    /// A set without a name; its number in this batch.
    fn set(&mut self, table: &str, set: &Set) -> u32 {
        let number = self.sets;
        self.sets += 1;
        let mut attributes = vec![
            Attribute::text(uapi::NFTA_SET_TABLE, table),
            Attribute::text(uapi::NFTA_SET_NAME, uapi::UNNAMED),
            Attribute::number(uapi::NFTA_SET_ID, number),
        ];
        attributes.extend(set.attributes());
        self.add(uapi::NFT_MSG_NEWSET, NLM_F_CREATE, &attributes);
        for elements in set.elements.chunks(ELEMENTS) {
            let elements = elements.iter().map(element).collect();
            let attributes = [
                Attribute::text(uapi::NFTA_SET_ELEM_LIST_TABLE, table),
                Attribute::text(uapi::NFTA_SET_ELEM_LIST_SET, uapi::UNNAMED),
                Attribute::number(uapi::NFTA_SET_ELEM_LIST_SET_ID, number),
                Attribute::nest(uapi::NFTA_SET_ELEM_LIST_ELEMENTS, elements),
            ];
            self.add(uapi::NFT_MSG_NEWSETELEM, NLM_F_CREATE, &attributes);
        }
        number
    }
}

/// What makes a chain one that packets come through.
pub(super) fn base(chain: &Chain) -> [Attribute; 3] {
    let hook = vec![
        Attribute::number(uapi::NFTA_HOOK_HOOKNUM, hook_number(chain.hook)),
        Attribute::number(uapi::NFTA_HOOK_PRIORITY, chain.priority.cast_unsigned()),
    ];
    [
        Attribute::nest(uapi::NFTA_CHAIN_HOOK, hook),
        Attribute::number(uapi::NFTA_CHAIN_POLICY, uapi::NF_DROP),
        Attribute::text(uapi::NFTA_CHAIN_TYPE, "filter"),
    ]
}

fn element((key, ends): &Element) -> Attribute {
    let key = vec![Attribute::bytes(uapi::NFTA_DATA_VALUE, key)];
    let mut parts = vec![Attribute::nest(uapi::NFTA_SET_ELEM_KEY, key)];
    if *ends {
        let flags = uapi::NFT_SET_ELEM_INTERVAL_END;
        parts.push(Attribute::number(uapi::NFTA_SET_ELEM_FLAGS, flags));
    }
    Attribute::nest(uapi::NFTA_LIST_ELEM, parts)
}

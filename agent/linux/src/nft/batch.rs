//! Putting a table in the place of the one that stands, over netlink, in one transaction.

use std::{io, thread};

use super::{
    error::NftError,
    message::{Message, put, put_all, put_number, put_text},
    rule::{Chain, Rule, Set},
};
use crate::netlink::Socket;

// linux/netfilter/nfnetlink.h and linux/netfilter/nf_tables.h.
const NFNL_MSG_BATCH_BEGIN: u16 = 0x10;
const NFNL_MSG_BATCH_END: u16 = 0x11;
const NFT_MSG_NEWTABLE: u8 = 0;
const NFT_MSG_DELTABLE: u8 = 2;
const NFT_MSG_NEWCHAIN: u8 = 3;
const NFT_MSG_NEWRULE: u8 = 6;
const NFT_MSG_DELRULE: u8 = 8;
const NFT_MSG_NEWSET: u8 = 9;
const NFT_MSG_NEWSETELEM: u8 = 12;
const NFT_MSG_NEWOBJ: u8 = 18;
const NLM_F_CREATE: u16 = 0x400;
const NLM_F_APPEND: u16 = 0x800;
const NFTA_TABLE_NAME: u16 = 1;
const NFTA_OBJ_TABLE: u16 = 1;
const NFTA_OBJ_NAME: u16 = 2;
const NFTA_OBJ_TYPE: u16 = 3;
const NFTA_OBJ_DATA: u16 = 4;
const NFT_OBJECT_COUNTER: u32 = 1;
const NFTA_CHAIN_TABLE: u16 = 1;
const NFTA_CHAIN_NAME: u16 = 3;
const NFTA_CHAIN_HOOK: u16 = 4;
const NFTA_CHAIN_POLICY: u16 = 5;
const NFTA_CHAIN_TYPE: u16 = 7;
const NFTA_HOOK_HOOKNUM: u16 = 1;
const NFTA_HOOK_PRIORITY: u16 = 2;
const NF_DROP: u32 = 0;
const NFTA_RULE_TABLE: u16 = 1;
const NFTA_RULE_CHAIN: u16 = 2;
const NFTA_RULE_EXPRESSIONS: u16 = 4;
const NFTA_SET_TABLE: u16 = 1;
const NFTA_SET_NAME: u16 = 2;
const NFTA_SET_FLAGS: u16 = 3;
const NFTA_SET_KEY_TYPE: u16 = 4;
const NFTA_SET_KEY_LEN: u16 = 5;
const NFTA_SET_ID: u16 = 10;
const NFT_SET_ANONYMOUS: u32 = 1;
const NFT_SET_CONSTANT: u32 = 2;
const NFT_SET_INTERVAL: u32 = 4;
const NFTA_SET_ELEM_LIST_TABLE: u16 = 1;
const NFTA_SET_ELEM_LIST_SET: u16 = 2;
const NFTA_SET_ELEM_LIST_ELEMENTS: u16 = 3;
const NFTA_SET_ELEM_LIST_SET_ID: u16 = 4;
const NFTA_LIST_ELEM: u16 = 1;
const NFTA_SET_ELEM_KEY: u16 = 1;
const NFTA_SET_ELEM_FLAGS: u16 = 3;
const NFTA_DATA_VALUE: u16 = 1;
const NFT_SET_ELEM_INTERVAL_END: u32 = 1;
/// As many of a set's elements as go into one message, which has at most 64 KiB.
const ELEMENTS: usize = 500;
/// The kernel numbers sets without a name itself.
pub(super) const UNNAMED: &str = "__set%d";

/// An `inet` table whose chains drop what no rule takes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ruleset {
    /// Its name.
    pub table: String,
    /// Its named counters.
    pub counters: Vec<String>,
    /// Its chains.
    pub chains: Vec<Chain>,
}

/// Makes the table so, or changes the one of that name: its counters go on counting, the rules of
/// these chains are these and no others. All of it or nothing, and no moment between.
pub fn replace(ruleset: &Ruleset) -> Result<(), NftError> {
    let table = &ruleset.table;
    let mut batch = Batch::new(table);
    batch.add(NFT_MSG_NEWTABLE, NLM_F_CREATE, &[put_text(NFTA_TABLE_NAME, table)]);
    for counter in &ruleset.counters {
        let kind = put_number(NFTA_OBJ_TYPE, NFT_OBJECT_COUNTER);
        let data = put_all(NFTA_OBJ_DATA, &[]);
        let name = [put_text(NFTA_OBJ_TABLE, table), put_text(NFTA_OBJ_NAME, counter)];
        batch.add(NFT_MSG_NEWOBJ, NLM_F_CREATE, &[&name[..], &[kind, data]].concat());
    }
    for chain in &ruleset.chains {
        batch.chain(chain);
    }
    batch.commit()
}

/// Takes the table away; none is fine.
pub fn remove(table: &str) -> Result<(), NftError> {
    let mut batch = Batch::new(table);
    // To delete a table that is not there is an error.
    batch.add(NFT_MSG_NEWTABLE, NLM_F_CREATE, &[put_text(NFTA_TABLE_NAME, table)]);
    batch.add(NFT_MSG_DELTABLE, 0, &[put_text(NFTA_TABLE_NAME, table)]);
    batch.commit()
}

/// Messages that take effect together.
struct Batch<'a> {
    table: &'a str,
    messages: Vec<(Message, u16)>,
    sets: u32,
}

impl<'a> Batch<'a> {
    fn new(table: &'a str) -> Batch<'a> {
        Batch { table, messages: Vec::new(), sets: 0 }
    }

    fn add(&mut self, kind: u8, flags: u16, attributes: &[Vec<u8>]) {
        self.messages.push((Message::new(kind, attributes), flags));
    }

    fn chain(&mut self, chain: &Chain) {
        let hook = [
            put_number(NFTA_HOOK_HOOKNUM, chain.hook.number()),
            put_number(NFTA_HOOK_PRIORITY, chain.priority.cast_unsigned()),
        ];
        let (table, name) = (self.table, chain.name.as_str());
        let attributes = [
            put_text(NFTA_CHAIN_TABLE, table),
            put_text(NFTA_CHAIN_NAME, name),
            put_all(NFTA_CHAIN_HOOK, &hook),
            put_number(NFTA_CHAIN_POLICY, NF_DROP),
            put_text(NFTA_CHAIN_TYPE, "filter"),
        ];
        self.add(NFT_MSG_NEWCHAIN, NLM_F_CREATE, &attributes);
        let place = [put_text(NFTA_RULE_TABLE, table), put_text(NFTA_RULE_CHAIN, name)];
        self.add(NFT_MSG_DELRULE, 0, &place);
        for rule in &chain.rules {
            self.rule(&place, rule);
        }
    }

    fn rule(&mut self, place: &[Vec<u8>], rule: &Rule) {
        let first = self.sets;
        let (expressions, sets) = rule.compile(first);
        for set in &sets {
            self.set(set);
        }
        let expressions = put_all(NFTA_RULE_EXPRESSIONS, &expressions);
        self.add(NFT_MSG_NEWRULE, NLM_F_CREATE | NLM_F_APPEND, &[place, &[expressions]].concat());
    }

    fn set(&mut self, set: &Set) {
        let interval = if set.ranges { NFT_SET_INTERVAL } else { 0 };
        let id = self.sets;
        self.sets += 1;
        let attributes = [
            put_text(NFTA_SET_TABLE, self.table),
            put_text(NFTA_SET_NAME, UNNAMED),
            put_number(NFTA_SET_FLAGS, NFT_SET_ANONYMOUS | NFT_SET_CONSTANT | interval),
            put_number(NFTA_SET_KEY_TYPE, set.key_type),
            put_number(NFTA_SET_KEY_LEN, set.key_bytes),
            put_number(NFTA_SET_ID, id),
        ];
        self.add(NFT_MSG_NEWSET, NLM_F_CREATE, &attributes);
        for elements in set.elements.chunks(ELEMENTS) {
            let elements: Vec<_> = elements.iter().map(element).collect();
            let attributes = [
                put_text(NFTA_SET_ELEM_LIST_TABLE, self.table),
                put_text(NFTA_SET_ELEM_LIST_SET, UNNAMED),
                put_number(NFTA_SET_ELEM_LIST_SET_ID, id),
                put_all(NFTA_SET_ELEM_LIST_ELEMENTS, &elements),
            ];
            self.add(NFT_MSG_NEWSETELEM, NLM_F_CREATE, &attributes);
        }
    }

    fn commit(self) -> Result<(), NftError> {
        let table = self.table.to_owned();
        self.send().map_err(|source| NftError::Apply { table, source })
    }

    fn send(self) -> io::Result<()> {
        let socket = Socket::netfilter()?;
        let begin = Message::batch(NFNL_MSG_BATCH_BEGIN);
        let end = Message::batch(NFNL_MSG_BATCH_END);
        let done = socket.transact(begin, self.messages, end);
        // The transaction is over, but closing waits until no processor uses the rules that went
        // (RCU): 16 ms and more, for which nobody else need wait. Without a thread it is closed here.
        let _ = thread::Builder::new().name("nft".to_owned()).spawn(move || drop(socket));
        done
    }
}

fn element((key, ends): &(Vec<u8>, bool)) -> Vec<u8> {
    let key = put_all(NFTA_SET_ELEM_KEY, &[put(NFTA_DATA_VALUE, key)]);
    let flags = put_number(NFTA_SET_ELEM_FLAGS, NFT_SET_ELEM_INTERVAL_END);
    let parts = if *ends { vec![key, flags] } else { vec![key] };
    put_all(NFTA_LIST_ELEM, &parts)
}

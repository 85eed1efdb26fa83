//! Reading back what stands in the kernel, over netlink.

use std::io;

use super::{
    error::NftError,
    message::{Message, attribute, put_number, put_text},
};
use crate::netlink::Socket;

// linux/netfilter/nf_tables.h and linux/netfilter.h.
const NFT_MSG_GETTABLE: u8 = 1;
const NFT_MSG_GETCHAIN: u8 = 4;
const NFT_MSG_GETRULE: u8 = 7;
const NFT_MSG_GETOBJ: u8 = 19;
const NFTA_TABLE_NAME: u16 = 1;
const NFTA_CHAIN_TABLE: u16 = 1;
const NFTA_CHAIN_NAME: u16 = 3;
const NFTA_CHAIN_HOOK: u16 = 4;
const NFTA_CHAIN_POLICY: u16 = 5;
const NFTA_HOOK_HOOKNUM: u16 = 1;
const NFTA_RULE_TABLE: u16 = 1;
const NFTA_RULE_CHAIN: u16 = 2;
const NFTA_OBJ_TABLE: u16 = 1;
const NFTA_OBJ_NAME: u16 = 2;
const NFTA_OBJ_TYPE: u16 = 3;
const NFTA_OBJ_DATA: u16 = 4;
const NFT_OBJECT_COUNTER: u32 = 1;
const NFTA_COUNTER_BYTES: u16 = 1;
const NFTA_COUNTER_PACKETS: u16 = 2;

/// A table of the family `inet`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Table {
    /// Its chains, oldest first.
    pub chains: Vec<Standing>,
}

/// A chain as it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// Its name.
    pub name: String,
    /// Where packets come in; `None` for a chain that others jump to.
    pub hook: Option<Hook>,
    /// What becomes of packets at the end of a chain with a hook.
    pub policy: Option<Policy>,
    /// How many rules it has.
    pub rules: usize,
}

/// A place in the kernel's packet path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hook {
    /// Come in, not routed yet.
    Prerouting,
    /// For this namespace.
    Input,
    /// Passing through.
    Forward,
    /// Made here.
    Output,
    /// About to leave.
    Postrouting,
    /// One that is not expected in an `inet` table.
    Other(u32),
}

/// The end of a chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Policy {
    /// Go on.
    Accept,
    /// Go nowhere.
    Drop,
}

/// What a named counter has counted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counter {
    /// Packets.
    pub packets: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// The `inet` table of that name, if there is one.
pub fn table(name: &str) -> Result<Option<Table>, NftError> {
    read_table(name)
        .or_else(none_if_missing)
        .map_err(|source| NftError::Read { what: format!("the table {name}"), source })
}

/// The named counter of an `inet` table, if both exist.
pub fn counter(table: &str, name: &str) -> Result<Option<Counter>, NftError> {
    read_counter(table, name)
        .or_else(none_if_missing)
        .map_err(|source| NftError::Read { what: format!("the counter {table} {name}"), source })
}

fn read_table(name: &str) -> io::Result<Option<Table>> {
    let socket = Socket::netfilter()?;
    socket.request(Message::new(NFT_MSG_GETTABLE, &[put_text(NFTA_TABLE_NAME, name)]), 0)?;
    let chains = socket.dump(Message::new(NFT_MSG_GETCHAIN, &[]))?;
    let rules = socket.dump(Message::new(NFT_MSG_GETRULE, &[put_text(NFTA_RULE_TABLE, name)]))?;
    let chains = chains.iter().filter(|chain| chain.text(NFTA_CHAIN_TABLE) == Some(name));
    Ok(Some(Table { chains: chains.map(|chain| read_chain(chain, &rules)).collect() }))
}

fn read_chain(message: &Message, rules: &[Message]) -> Standing {
    let name = message.text(NFTA_CHAIN_NAME).unwrap_or_default();
    let hook = message.value(NFTA_CHAIN_HOOK).and_then(|hook| number(hook, NFTA_HOOK_HOOKNUM));
    let policy = message.value(NFTA_CHAIN_POLICY).and_then(be32);
    Standing {
        name: name.to_owned(),
        hook: hook.map(Hook::from_number),
        policy: policy.map(|verdict| if verdict == 0 { Policy::Drop } else { Policy::Accept }),
        rules: rules.iter().filter(|rule| rule.text(NFTA_RULE_CHAIN) == Some(name)).count(),
    }
}

fn read_counter(table: &str, name: &str) -> io::Result<Option<Counter>> {
    let kind = put_number(NFTA_OBJ_TYPE, NFT_OBJECT_COUNTER);
    let which = [put_text(NFTA_OBJ_TABLE, table), put_text(NFTA_OBJ_NAME, name), kind];
    let answers = Socket::netfilter()?.request(Message::new(NFT_MSG_GETOBJ, &which), 0)?;
    let data = answers.iter().find_map(|answer| answer.value(NFTA_OBJ_DATA));
    Ok(data.and_then(|data| {
        Some(Counter {
            packets: be64(attribute(data, NFTA_COUNTER_PACKETS)?)?,
            bytes: be64(attribute(data, NFTA_COUNTER_BYTES)?)?,
        })
    }))
}

impl Hook {
    fn from_number(number: u32) -> Hook {
        match number {
            0 => Hook::Prerouting,
            1 => Hook::Input,
            2 => Hook::Forward,
            3 => Hook::Output,
            4 => Hook::Postrouting,
            other => Hook::Other(other),
        }
    }

    pub(super) fn number(self) -> u32 {
        match self {
            Hook::Prerouting => 0,
            Hook::Input => 1,
            Hook::Forward => 2,
            Hook::Output => 3,
            Hook::Postrouting => 4,
            Hook::Other(other) => other,
        }
    }
}

fn number(attributes: &[u8], kind: u16) -> Option<u32> {
    be32(attribute(attributes, kind)?)
}

fn be32(value: &[u8]) -> Option<u32> {
    Some(u32::from_be_bytes(*value.first_chunk()?))
}

fn be64(value: &[u8]) -> Option<u64> {
    Some(u64::from_be_bytes(*value.first_chunk()?))
}

fn none_if_missing<T>(error: io::Error) -> io::Result<Option<T>> {
    match error.kind() {
        io::ErrorKind::NotFound => Ok(None),
        _ => Err(error),
    }
}

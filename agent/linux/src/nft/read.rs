//! Asking the kernel what stands.

use std::io;

use super::{
    attribute::{Attribute, long, value},
    connection::Connection,
    enforce::{chosen, family},
    error::NftError,
    message::Message,
    uapi,
};

/// More tables than anybody has who means well.
const TABLES_MAX: usize = 10_000;

/// A table as it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Table {
    pub(super) name: String,
    /// Whether only the socket of some process may change it.
    pub(super) owned: bool,
}

/// What a counter has counted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Counter {
    pub(super) packets: u64,
    pub(super) bytes: u64,
}

/// What the named counters of a table that [`super::enforce`] put in place have counted, in packets;
/// `None` where there is no such table or counter.
pub fn counters<const N: usize>(
    name: &str,
    counters: [&str; N],
) -> Result<Option<[u64; N]>, NftError> {
    let read = || {
        let connection = Connection::open()?;
        let standing = family(name, tables(&connection)?);
        let Some(table) = chosen(name, &standing) else { return Ok(None) };
        let mut counted = [0; N];
        for (packets, counter) in counted.iter_mut().zip(counters) {
            let Some(read) = self::counter(&connection, &table, counter)? else { return Ok(None) };
            *packets = read.packets;
        }
        Ok(Some(counted))
    };
    read().map_err(|source| NftError::Read { table: name.to_owned(), source })
}

/// Whether there is any table that [`super::enforce`] puts in place under this name.
pub fn exists(name: &str) -> Result<bool, NftError> {
    let read = || Ok(!family(name, tables(&Connection::open()?)?).is_empty());
    read().map_err(|source| NftError::Read { table: name.to_owned(), source })
}

/// Every table of the family `inet`.
pub(super) fn tables(connection: &Connection) -> io::Result<Vec<Table>> {
    let all = connection.dump_at_most(Message::new(uapi::NFT_MSG_GETTABLE, &[]), TABLES_MAX)?;
    let table = |message: &Message| {
        let name = message.text(uapi::NFTA_TABLE_NAME)?.to_owned();
        let owner = message.number(uapi::NFTA_TABLE_OWNER).unwrap_or_default();
        Some(Table { name, owned: owner != 0 })
    };
    Ok(all.iter().filter_map(table).collect())
}

/// A number that every transaction changes.
pub(super) fn generation(connection: &Connection) -> io::Result<u32> {
    let answers = connection.request(Message::new(uapi::NFT_MSG_GETGEN, &[]), 0)?;
    let number = answers.first().and_then(|answer| answer.number(uapi::NFTA_GEN_ID));
    number.ok_or_else(|| io::ErrorKind::InvalidData.into())
}

/// One object, if it exists.
pub(super) fn object(
    connection: &Connection,
    kind: u8,
    attributes: &[Attribute],
) -> io::Result<Option<Message>> {
    match connection.request(Message::new(kind, attributes), 0) {
        Ok(answers) => Ok(answers.into_iter().next()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// The named counter of a table, if both exist.
pub(super) fn counter(
    connection: &Connection,
    table: &str,
    name: &str,
) -> io::Result<Option<Counter>> {
    let which = [
        Attribute::text(uapi::NFTA_OBJ_TABLE, table),
        Attribute::text(uapi::NFTA_OBJ_NAME, name),
        Attribute::number(uapi::NFTA_OBJ_TYPE, uapi::NFT_OBJECT_COUNTER),
    ];
    let answer = object(connection, uapi::NFT_MSG_GETOBJ, &which)?;
    Ok(answer.and_then(|answer| {
        let data = answer.value(uapi::NFTA_OBJ_DATA)?;
        Some(Counter {
            packets: long(value(data, uapi::NFTA_COUNTER_PACKETS)?)?,
            bytes: long(value(data, uapi::NFTA_COUNTER_BYTES)?)?,
        })
    }))
}

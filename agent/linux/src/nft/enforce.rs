//! Having a ruleset stand in a namespace, whatever somebody left there.
//!
//! Who has `CAP_NET_ADMIN` in the namespace may have made a table of our name, in any state. One that
//! cannot become what is wanted is replaced as a whole. One that belongs to the socket of a process
//! (`flags owner`) nobody else can change while that lives: another table is put beside it, under a
//! name that cannot be foreseen. What one table drops no other can let pass.

use std::io;

use egress_core::firewall::Ruleset;
use rustix::rand::{GetRandomFlags, getrandom};

use super::{
    batch::{Batch, Counted},
    connection::Connection,
    error::NftError,
    exact::{Difference, compare},
    read::{Counter, Table, counter, tables},
};

/// Random digits after the name of a table that stands beside an owned one.
const DIGITS: usize = 16;

/// How a table is made what is wanted.
#[derive(Debug, Clone, Copy)]
enum Way {
    /// Its rules are replaced: no packet is lost, and counters go on counting.
    Amend,
    /// It is replaced by another one, whose counters go on from what the others had counted.
    Rebuild,
}

/// Has the table of this name hold just what is wanted: one transaction, which is read back. Where
/// a process owns that table, one of this name with random digits does. Others of such a name are
/// taken away, if they can be.
///
/// Called again it changes nothing, and counters go on counting.
pub fn enforce(name: &str, ruleset: &Ruleset) -> Result<(), NftError> {
    stand(name, ruleset, Way::Amend).or_else(|_| stand(name, ruleset, Way::Rebuild))
}

/// Takes away the tables that [`enforce`] put in place; none is fine.
pub fn remove(name: &str) -> Result<(), NftError> {
    let apply = |source| NftError::Apply { table: name.to_owned(), source };
    let connection = Connection::open().map_err(apply)?;
    let standing = || tables(&connection).map(|all| family(name, all)).map_err(apply);
    let mut batch = Batch::default();
    for table in standing()?.iter().filter(|table| !table.owned) {
        batch.remove(&table.name);
    }
    batch.commit(&connection).map_err(apply)?;
    match standing()?.into_iter().find(|table| !table.owned) {
        None => Ok(()),
        Some(Table { name, .. }) => {
            Err(NftError::Different { table: name, found: "it is there again".to_owned() })
        }
    }
}

/// Those tables that have this name, alone or with random digits.
pub(super) fn family(name: &str, tables: Vec<Table>) -> Vec<Table> {
    let digits = |rest: &str| rest.len() == DIGITS && rest.bytes().all(|b| b.is_ascii_hexdigit());
    let is_ours = |table: &Table| {
        table
            .name
            .strip_prefix(name)
            .is_some_and(|rest| rest.is_empty() || rest.strip_prefix('_').is_some_and(digits))
    };
    tables.into_iter().filter(is_ours).collect()
}

/// The name of the table that is ours among a family: that itself unless somebody owns it. `None`
/// where another one has to be made.
pub(super) fn chosen(name: &str, family: &[Table]) -> Option<String> {
    if family.iter().all(|table| table.name != name || !table.owned) {
        return Some(name.to_owned());
    }
    family.iter().find(|table| !table.owned).map(|table| table.name.clone())
}

fn stand(name: &str, ruleset: &Ruleset, way: Way) -> Result<(), NftError> {
    let applied = apply(name, ruleset, way);
    let (connection, table) =
        applied.map_err(|source| NftError::Apply { table: name.to_owned(), source })?;
    match compare(&connection, &table, ruleset) {
        Ok(()) => Ok(()),
        Err(Difference::Found(found)) => Err(NftError::Different { table, found }),
        Err(Difference::Unread(source)) => Err(NftError::Read { table, source }),
    }
}

/// The table that it has become, and what to read it by.
fn apply(name: &str, ruleset: &Ruleset, way: Way) -> io::Result<(Connection, String)> {
    let connection = Connection::open()?;
    let family = family(name, tables(&connection)?);
    let table = chosen(name, &family).map_or_else(|| unforeseen(name), Ok)?;
    let mut batch = Batch::default();
    for other in family.iter().filter(|other| !other.owned && other.name != table) {
        batch.remove(&other.name);
    }
    match way {
        Way::Amend => batch.amend(&table, ruleset),
        Way::Rebuild => batch.rebuild(&table, ruleset, &counted(&connection, &table, ruleset)?),
    }
    batch.commit(&connection)?;
    Ok((connection, table))
}

fn unforeseen(name: &str) -> io::Result<String> {
    let mut bytes = [0; DIGITS / 2];
    getrandom(&mut bytes, GetRandomFlags::empty())?;
    Ok(format!("{name}_{:016x}", u64::from_ne_bytes(bytes)))
}

/// What the table's counters have counted so far; those that are missing start with nothing.
fn counted(connection: &Connection, table: &str, ruleset: &Ruleset) -> io::Result<Vec<Counted>> {
    let counted = ruleset.counters.iter().map(|name| {
        let Counter { packets, bytes } = counter(connection, table, name)?.unwrap_or_default();
        Ok((*name, packets, bytes))
    });
    counted.collect()
}

#[cfg(test)]
mod tests {
    use egress_core::firewall::Policy;
    use rustix::io::Errno;

    use super::*;
    use crate::{
        netns::Netns,
        nft::{attribute::Attribute, message::Message, uapi},
    };

    /// `NFT_TABLE_F_OWNER | NFT_TABLE_F_PERSIST`.
    const OWNED_FOR_EVER: u32 = 2 | 4;

    fn table(name: &str, owned: bool) -> Table {
        Table { name: name.to_owned(), owned }
    }

    #[test]
    fn tables_are_told_from_others_with_names_like_theirs() {
        let names = ["t", "t_0123456789abcdef", "t_0123456789abcdeg", "t_0", "tt", "u", "t_"];
        let all = names.map(|name| table(name, false)).into();
        assert_eq!(family("t", all), [table("t", false), table("t_0123456789abcdef", false)]);
    }

    #[test]
    fn the_plain_name_is_chosen_unless_somebody_owns_that() {
        let other = "t_0123456789abcdef";
        assert_eq!(chosen("t", &[]).as_deref(), Some("t"));
        assert_eq!(chosen("t", &[table(other, false)]).as_deref(), Some("t"));
        assert_eq!(chosen("t", &[table("t", true), table(other, false)]).as_deref(), Some(other));
        assert_eq!(chosen("t", &[table("t", true), table(other, true)]), None);
        assert_ne!(unforeseen("t").unwrap(), unforeseen("t").unwrap());
    }

    /// One that outlives the socket that it belonged to (Linux 6.9).
    #[test]
    fn a_table_that_its_owner_left_behind_is_replaced() {
        Netns::create()
            .unwrap()
            .run(|| {
                let leave_behind = || {
                    let attributes = [
                        Attribute::text(uapi::NFTA_TABLE_NAME, "t"),
                        Attribute::number(uapi::NFTA_TABLE_FLAGS, OWNED_FOR_EVER),
                    ];
                    let message = Message::new(uapi::NFT_MSG_NEWTABLE, &attributes);
                    let (begin, end) = (uapi::NFNL_MSG_BATCH_BEGIN, uapi::NFNL_MSG_BATCH_END);
                    let (begin, end) = (Message::batch(begin), Message::batch(end));
                    crate::netlink::Socket::netfilter()?.transact(
                        begin,
                        vec![(message, 0x400)],
                        end,
                    )
                };
                match leave_behind().map_err(|error| Errno::from_io_error(&error)) {
                    Ok(()) => assert_eq!(tables(&Connection::open().unwrap()).unwrap().len(), 1),
                    // An older kernel has none.
                    Err(error) => assert_eq!(error, Some(Errno::OPNOTSUPP)),
                }
                enforce("t", &Policy::Closed.ruleset()).unwrap();
                assert_eq!(tables(&Connection::open().unwrap()).unwrap(), [table("t", false)]);
            })
            .unwrap();
    }
}

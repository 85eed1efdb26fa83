//! Opening the store's file: ours, whole, private and of a version that is known, or refused.

use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, ErrorCode, OptionalExtension};
use rustix::process::geteuid;
use tracing::warn;

use super::catalog::LoadError;
use super::copy::{self, CopyError, dir_of};
use super::key_file::KeyError;
use super::schema::{self, APPLICATION_ID, MIGRATIONS, VERSION};
use super::seal::{KeyId, MasterKey};
use super::wal::{self, Wal};

/// How long a former agent that is still going down may keep the file.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
/// Statements kept prepared.
const STATEMENTS: usize = 64;

/// Why the store did not open. Nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// A file or directory could not be made or looked at.
    #[error("open the store: make or read {}", .path.display())]
    Io {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Others could read or replace it.
    #[error("{} has mode {mode:04o}: others could reach the store; `chmod {fix} {}`", .path.display(), .path.display())]
    Exposed {
        /// The file or its directory.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
        /// The permission bits it must have.
        fix: &'static str,
    },
    /// It is not the agent's.
    #[error("{} belongs to uid {owner}, not to uid {}, which the agent runs as", .path.display(), geteuid().as_raw())]
    ForeignOwner {
        /// The file or its directory.
        path: PathBuf,
        /// Its owner.
        owner: u32,
    },
    /// It is a link, a directory, a device.
    #[error("{} is not a regular file; set the store's path to one of its own", .path.display())]
    NotAFile {
        /// The file.
        path: PathBuf,
    },
    /// A database of another program.
    #[error("{} is a database of another program; set the store's path to a file of its own", .path.display())]
    ForeignFile {
        /// The file.
        path: PathBuf,
    },
    /// Written by a newer agent.
    #[error(
        "{} has schema {found}, this agent knows up to {VERSION}: a newer agent wrote it; run that \
         one, or restore {}, the copy it made before it changed the schema",
        .path.display(), copy::path_before(.path, VERSION).display()
    )]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its schema's version.
        found: i32,
    },
    /// Not a database, or one with damage.
    #[error(
        "{} is damaged ({detail}): move it and its -wal file away and restore a copy, or start with \
         an empty store and apply the catalog again", .path.display()
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What SQLite says of it.
        detail: String,
    },
    /// Another process has it open.
    #[error("{} is open in another process: one agent at a time may have it", .path.display())]
    InUse {
        /// The file.
        path: PathBuf,
    },
    /// Sealed with another master key.
    #[error(
        "the secrets in {} are sealed with master key {sealed_with}, but the key given is {given}: \
         put back the former key file, or the one with .next behind its name when a rotation of \
         keys was cut short", .path.display()
    )]
    WrongKey {
        /// The file.
        path: PathBuf,
        /// The key it needs.
        sealed_with: KeyId,
        /// The key that was given.
        given: KeyId,
    },
    /// The master key is gone, and what is sealed with it is not.
    #[error(
        "{} has records that are sealed, and there is no master key {}: restore it from where it was \
         kept, or move the store away to start with an empty one", .path.display(),
        .key_path.display()
    )]
    NoKey {
        /// The store's file.
        path: PathBuf,
        /// Where its key was looked for.
        key_path: PathBuf,
    },
    /// The master key's file.
    #[error("take the store's master key")]
    Key(#[from] KeyError),
    /// An older file is copied before it is changed, and was not.
    #[error("keep a copy of {} before its schema changes", .path.display())]
    Copy {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: CopyError,
    },
    /// SQLite failed in another way: a full disk, for instance.
    #[error("open the store {}", .path.display())]
    Sql {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: rusqlite::Error,
    },
    /// A record does not read back.
    #[error("load the catalog from {}", .path.display())]
    Load {
        /// The file.
        path: PathBuf,
        /// Which record, and what of it.
        #[source]
        source: LoadError,
    },
    /// The writer's thread could not be started.
    #[error("start the store's writer")]
    Thread(#[source] io::Error),
}

/// The database at `path`, made when there is none, migrated, and locked for this process. Nothing
/// is written before the file is known to be whole, and sealed with this key.
pub(super) fn open(path: &Path, key: &MasterKey) -> Result<Connection, OpenError> {
    prepare_dir(path)?;
    copy::sweep(path).map_err(|source| OpenError::Io { path: path.to_owned(), source })?;
    if !has_a_store(path) {
        create(path, key)?;
    }
    check_file(path)?;
    check_wal(path)?;
    let mut db = Connection::open(path).map_err(|error| refused(path, error))?;
    check_kind(&db, path)?;
    let version = schema::version(&db).map_err(|error| refused(path, error))?;
    if version > 0 {
        check_whole(&db, path)?;
        check_key(&db, path, key)?;
    }
    set_up(&db, path).map_err(|error| refused(path, error))?;
    if version > 0 && version < VERSION {
        copy::before_migration(&db, path, version)
            .map_err(|source| OpenError::Copy { path: path.to_owned(), source })?;
    }
    migrate(&mut db, key).map_err(|error| refused(path, error))?;
    Ok(db)
}

/// Tells whether there is a file at `path`.
pub(super) fn has_a_store(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok()
}

fn prepare_dir(path: &Path) -> Result<(), OpenError> {
    let dir = dir_of(path);
    let failed = |source| OpenError::Io { path: dir.to_owned(), source };
    if !dir.exists() {
        DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(failed)?;
    }
    check_private(dir, &fs::metadata(dir).map_err(failed)?, "700")
}

/// Makes a store with nothing in it, which gets its name when it is whole: so a file without
/// contents is one that lost them.
fn create(path: &Path, key: &MasterKey) -> Result<(), OpenError> {
    if wal::path_of(path).exists() {
        let detail = "it is gone, and its -wal file is not; a start would delete that";
        return Err(damaged(path, detail.to_owned()));
    }
    let failed = |source| OpenError::Io { path: path.to_owned(), source };
    let file = copy::temporary(path).map_err(failed)?;
    let mut db = Connection::open(file.path()).map_err(|error| refused(path, error))?;
    migrate(&mut db, key).map_err(|error| refused(path, error))?;
    db.close().map_err(|(_, error)| refused(path, error))?;
    file.as_file().sync_all().map_err(failed)?;
    match file.persist_noclobber(path) {
        // Another agent is as quick; one of the two will have it.
        Err(error) if error.error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(failed(error.error)),
        Ok(_) => File::open(dir_of(path)).and_then(|dir| dir.sync_all()).map_err(failed),
    }
}

fn check_file(path: &Path) -> Result<(), OpenError> {
    let failed = |source| OpenError::Io { path: path.to_owned(), source };
    let meta = fs::symlink_metadata(path).map_err(failed)?;
    if !meta.is_file() {
        return Err(OpenError::NotAFile { path: path.to_owned() });
    }
    check_private(path, &meta, "600")?;
    if meta.len() == 0 {
        // SQLite would take it for a new one, and delete its log.
        return Err(damaged(path, String::from("it is empty")));
    }
    Ok(())
}

/// SQLite takes a log that it cannot read for an empty one, and what it held is lost.
fn check_wal(path: &Path) -> Result<(), OpenError> {
    let wal = wal::path_of(path);
    let failed = |source| OpenError::Io { path: wal.clone(), source };
    match wal::look_at(&wal).map_err(failed)? {
        Wal::Readable => Ok(()),
        Wal::Torn => {
            let kept = wal::keep(&wal).map_err(failed)?;
            warn!(
                wal = %wal.display(),
                kept = %kept.display(),
                "the store's log is torn: power failed while it was written, or it is damaged; \
                 changes after the tear are lost"
            );
            Ok(())
        }
        Wal::Unreadable => {
            let detail = "its -wal file is not a log of SQLite; the changes in there are lost";
            Err(damaged(path, detail.to_owned()))
        }
    }
}

fn check_private(path: &Path, meta: &fs::Metadata, fix: &'static str) -> Result<(), OpenError> {
    if meta.uid() != geteuid().as_raw() {
        return Err(OpenError::ForeignOwner { path: path.to_owned(), owner: meta.uid() });
    }
    if meta.mode() & 0o077 != 0 {
        return Err(OpenError::Exposed { path: path.to_owned(), mode: meta.mode() & 0o7777, fix });
    }
    Ok(())
}

/// Before anything is written: an empty file or one of ours, of a version that is known.
fn check_kind(db: &Connection, path: &Path) -> Result<(), OpenError> {
    let read = |what| db.pragma_query_value(None, what, |row| row.get::<_, i32>(0));
    let refused = |error| refused(path, error);
    db.busy_timeout(BUSY_TIMEOUT).map_err(refused)?;
    // One connection for as long as the agent lives: no second agent, and no -shm file.
    db.pragma_update(None, "locking_mode", "EXCLUSIVE").map_err(refused)?;
    let tables: i64 = db
        .query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))
        .map_err(refused)?;
    let version = read("user_version").map_err(refused)?;
    let application_id = read("application_id").map_err(refused)?;
    if application_id != APPLICATION_ID && (tables, version, application_id) != (0, 0, 0) {
        return Err(OpenError::ForeignFile { path: path.to_owned() });
    }
    if version > VERSION {
        return Err(OpenError::Newer { path: path.to_owned(), found: version });
    }
    Ok(())
}

fn set_up(db: &Connection, path: &Path) -> rusqlite::Result<()> {
    db.set_prepared_statement_cache_capacity(STATEMENTS);
    let mode: String = db.pragma_update_and_check(None, "journal_mode", "WAL", |row| row.get(0))?;
    debug_assert_eq!(mode, "wal", "{}", path.display());
    // What a deleted or changed row held is overwritten, not left in a free page.
    db.pragma_update_and_check(None, "secure_delete", "ON", |_| Ok(()))?;
    db.pragma_update(None, "foreign_keys", "ON")?;
    db.pragma_update(None, "synchronous", "FULL")
}

fn migrate(db: &mut Connection, key: &MasterKey) -> rusqlite::Result<()> {
    schema::migrate(db, &MIGRATIONS)?;
    db.execute(
        "INSERT INTO meta (one, key_id, starts) VALUES (1, ?1, 0) ON CONFLICT DO NOTHING",
        [key.id().0],
    )?;
    Ok(())
}

fn check_whole(db: &Connection, path: &Path) -> Result<(), OpenError> {
    let verdict: String = db
        .query_row("PRAGMA quick_check(1)", [], |row| row.get(0))
        .map_err(|error| refused(path, error))?;
    let orphan: Option<String> = db
        .query_row("PRAGMA foreign_key_check", [], |row| row.get(0))
        .optional()
        .map_err(|error| refused(path, error))?;
    match (verdict.as_str(), orphan) {
        ("ok", None) => Ok(()),
        ("ok", Some(table)) => Err(damaged(path, format!("{table} refers to a missing record"))),
        (verdict, _) => Err(damaged(path, verdict.to_owned())),
    }
}

fn check_key(db: &Connection, path: &Path, key: &MasterKey) -> Result<(), OpenError> {
    // None when the agent died between making the tables and this row.
    let sealed_with: Option<[u8; 8]> = db
        .query_row("SELECT key_id FROM meta", [], |row| row.get(0))
        .optional()
        .map_err(|error| refused(path, error))?;
    if let Some(sealed_with) = sealed_with.filter(|id| *id != key.id().0) {
        let (path, sealed_with) = (path.to_owned(), KeyId(sealed_with));
        return Err(OpenError::WrongKey { path, sealed_with, given: key.id() });
    }
    Ok(())
}

fn damaged(path: &Path, detail: String) -> OpenError {
    OpenError::Damaged { path: path.to_owned(), detail }
}

fn refused(path: &Path, error: rusqlite::Error) -> OpenError {
    match error.sqlite_error_code() {
        Some(ErrorCode::NotADatabase | ErrorCode::DatabaseCorrupt) => {
            damaged(path, error.to_string())
        }
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
            OpenError::InUse { path: path.to_owned() }
        }
        _ => OpenError::Sql { path: path.to_owned(), source: error },
    }
}

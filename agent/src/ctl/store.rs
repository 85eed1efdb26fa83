//! Commands that look after the store.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use futures_util::TryStreamExt as _;
use serde::Serialize;
use tempfile::NamedTempFile;

use super::arguments::Store;
use super::failure::Failure;
use super::screen::Screen;
use crate::control::client::Client;

/// A copy that was written.
#[derive(Debug, Serialize)]
struct Copied {
    file: PathBuf,
    bytes: u64,
}

pub async fn store(client: &Client, store: &Store, screen: Screen) -> Result<(), Failure> {
    match store {
        Store::Backup { file } => backup(client, file, screen).await,
        Store::RotateKey => {
            let rotation = client.rotate_key().await?;
            screen.show(&rotation, |rotation| {
                format!("the store's secrets are sealed with master key {}\n", rotation.key_id)
            })
        }
    }
}

/// Writes a copy (mode 0600) to the file, which is there when the copy is whole and on disk.
async fn backup(client: &Client, file: &Path, screen: Screen) -> Result<(), Failure> {
    let failed = |source| Failure::system(format!("write {}", file.display()), source);
    let dir = file.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut copy = NamedTempFile::new_in(dir).map_err(failed)?;
    let mut bytes = 0;
    let mut pieces = client.backup().await?;
    while let Some(piece) = pieces.try_next().await? {
        copy.write_all(&piece).map_err(failed)?;
        bytes += piece.len() as u64;
    }
    copy.as_file().sync_all().map_err(failed)?;
    copy.persist(file).map_err(|error| failed(error.error))?;
    screen.show(&Copied { file: file.to_owned(), bytes }, |copied| {
        let key = "to be of use it needs the store's key too, which is not in it";
        format!("{}: {} bytes; {key}\n", copied.file.display(), copied.bytes)
    })
}

//! What the commands on single records are told.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::arguments::SessionsArguments;

#[derive(Debug, Subcommand)]
pub enum RecordCommand {
    /// List them
    List(ListArguments),
    /// Show one
    Show {
        /// Its id or name
        #[arg(value_name = "ID|NAME")]
        record: String,
    },
    /// Make one
    Create(FieldArguments),
    /// Change fields of one
    Update(Update),
    /// Delete one
    Delete(Delete),
}

#[derive(Debug, Args)]
pub struct ListArguments {
    /// Only those of this provider, by its id or name
    #[arg(long, value_name = "PROVIDER")]
    pub provider: Option<String>,
    /// Only gateways in this country
    #[arg(long)]
    pub country: Option<String>,
    /// Only gateways in this city
    #[arg(long)]
    pub city: Option<String>,
    #[command(flatten)]
    pub page: PageArguments,
}

#[derive(Debug, Clone, Args)]
pub struct PageArguments {
    /// So many at most
    #[arg(long, value_name = "COUNT")]
    #[arg(value_parser = clap::value_parser!(u32).range(1..))]
    pub limit: Option<u32>,
    /// Go on after this, which ended the page before
    #[arg(long)]
    pub after: Option<String>,
}

/// Fields as the apply file has them. Later ones win: the file's, then --set and --read in turn.
#[derive(Debug, Args)]
pub struct FieldArguments {
    /// A file of fields, TOML or (*.json) JSON; - is standard input
    #[arg(long, short, value_name = "FILE")]
    pub file: Option<PathBuf>,
    /// A field's value: true, 5, a text, a,b for a list, null for its default
    #[arg(long = "set", value_name = "FIELD=VALUE", value_parser = pair)]
    pub set: Vec<(String, String)>,
    /// A field whose text is in a file, as every secret must be; - is standard input
    #[arg(long = "read", value_name = "FIELD=FILE", value_parser = pair)]
    pub read: Vec<(String, String)>,
}

#[derive(Debug, Args)]
pub struct Update {
    /// Its id or name
    #[arg(value_name = "ID|NAME")]
    pub record: String,
    #[command(flatten)]
    pub fields: FieldArguments,
    #[command(flatten)]
    pub version: VersionArgument,
    #[command(flatten)]
    pub sessions: SessionsArguments,
}

#[derive(Debug, Args)]
pub struct Delete {
    /// Its id or name
    #[arg(value_name = "ID|NAME")]
    pub record: String,
    /// Delete also what needs it: a provider's gateways, mappings and credentials
    #[arg(long)]
    pub cascade: bool,
    #[command(flatten)]
    pub version: VersionArgument,
    #[command(flatten)]
    pub sessions: SessionsArguments,
}

#[derive(Debug, Clone, Copy, Args)]
pub struct VersionArgument {
    /// Only if it still has this version
    #[arg(long, value_name = "VERSION")]
    pub if_version: Option<u64>,
}

fn pair(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((field, value)) if !field.is_empty() => Ok((field.to_owned(), value.to_owned())),
        Some(_) | None => Err("expected FIELD=VALUE".to_owned()),
    }
}

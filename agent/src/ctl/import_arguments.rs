//! What `import` and `check` are told.

use std::num::NonZeroU32;
use std::path::PathBuf;

use clap::Args;
use egress_core::catalog::{OnHooks, Owner};
use egress_core::wireguard::Rules;

use super::subject::owner;

#[derive(Debug, Args)]
pub struct Import {
    /// A wg-quick file with the client's own key, or an .ovpn file; with --provider several of them,
    /// directories and ZIP archives, of which all *.ovpn and *.conf are taken. Files that lie beside
    /// an .ovpn file and are named in it are put into it
    #[arg(required = true, value_name = "FILE|DIR|ZIP")]
    pub files: Vec<PathBuf>,
    /// Import all files as gateways of this provider, each called like its file; again, they are
    /// updated. Files with faults are left out and listed; the exit code is 1 only if none is left
    #[arg(long, value_name = "NAME", conflicts_with = "name")]
    pub provider: Option<String>,
    /// For .ovpn files: two lines, name and password, in a file of mode 0600 or on standard
    /// input (-); else asked for at the terminal
    #[arg(long, value_name = "FILE|-")]
    pub login: Option<PathBuf>,
    /// How many connections the credential may carry; else as many as it could before
    #[arg(long, value_name = "CONNECTIONS", requires = "provider")]
    pub limit: Option<NonZeroU32>,
    /// What provider, gateway and credential are called; else the file's name
    #[arg(long)]
    pub name: Option<String>,
    /// Who may use it: user:NAME, group:NAME or workspace:NAME; else user:$USER
    #[arg(long, value_parser = owner, value_name = "KIND:NAME")]
    pub owner: Option<Owner>,
    /// Take over records of the same name that are somebody else's, or that have another key,
    /// login or other servers; else they are left alone, and the import is refused
    #[arg(long)]
    pub replace: bool,
    /// For the launch menu; else as far as the file's name tells
    #[arg(long, default_value_t, hide_default_value = true)]
    pub country: String,
    /// For the launch menu; else as far as the file's name tells
    #[arg(long, default_value_t, hide_default_value = true)]
    pub city: String,
    #[command(flatten)]
    pub rules: RuleArguments,
    /// Say what would change, and change nothing
    #[arg(long)]
    pub dry_run: bool,
}

#[derive(Debug, Clone, Copy, Args)]
pub struct RuleArguments {
    /// Take a config without a default route; what is not in it is blocked
    #[arg(long)]
    pub split: bool,
    /// Ignore commands in the file in place of refusing it
    #[arg(long)]
    pub drop_hooks: bool,
}

impl RuleArguments {
    /// What the parser is to take.
    pub fn rules(self) -> Rules {
        let on_hooks = if self.drop_hooks { OnHooks::Drop } else { OnHooks::Refuse };
        Rules { split: self.split, on_hooks }
    }
}

//! What can go wrong with nftables.

use std::{io, path::PathBuf, process::ExitStatus, time::Duration};

/// Why a ruleset was not applied or read.
#[derive(Debug, thiserror::Error)]
pub enum NftError {
    /// The program is not installed.
    #[error("find the program nft: install the package nftables")]
    Missing,
    /// The program could not be started or waited for.
    #[error("run {}", program.display())]
    Run {
        /// Where it is.
        program: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The program did not end in time and was killed. The ruleset is applied or it is not.
    #[error("run nft: not done after {after:?}")]
    Slow {
        /// How long it was waited for.
        after: Duration,
    },
    /// The ruleset was refused as a whole: nothing has changed.
    #[error("apply a ruleset ({status}): {said}")]
    Refused {
        /// How `nft` ended.
        status: ExitStatus,
        /// What it said.
        said: String,
    },
    /// The kernel did not tell.
    #[error("read {what} back")]
    Read {
        /// Which table or counter.
        what: String,
        /// Why.
        source: io::Error,
    },
}

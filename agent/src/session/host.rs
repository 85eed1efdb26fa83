//! Hearing that the host's own links, addresses or routes have changed.

use std::io;
use std::os::fd::AsFd;
use std::time::Duration;

use egress_linux::link::Changes;
use egress_linux::ready;
use tokio::io::Interest;
use tokio::time::sleep;
use tracing::{debug, error};

use super::lifeline::Command;
use super::manager::Manager;
use crate::telemetry::chain;

/// Changes come in bursts: one look after the last of them is enough.
const CALM: Duration = Duration::from_millis(300);

impl Manager {
    /// Lets every session find its way again when the host's has changed. Call it in the host's
    /// namespace.
    pub fn follow_the_host(&self) -> io::Result<()> {
        let changes = Changes::open()?;
        let readable = ready::register(changes.as_fd().try_clone_to_owned()?, Interest::READABLE)?;
        let manager = self.clone();
        tokio::spawn(async move {
            while let Ok(mut ready) = readable.readable().await {
                sleep(CALM).await;
                ready.clear_ready();
                match changes.drain() {
                    Ok(true) => manager.look_again(),
                    Ok(false) => {}
                    Err(error) => {
                        return error!(error = %chain(&error), "the host's changes are not heard");
                    }
                }
            }
        });
        Ok(())
    }

    fn look_again(&self) {
        let lifelines = self.lifelines();
        debug!(sessions = lifelines.len(), "the host's links, addresses or routes have changed");
        for (_, lifeline) in lifelines {
            // A driver whose queue is full has other reasons to look.
            let _ = lifeline.commands_tx.try_send(Command::HostChanged);
        }
    }
}

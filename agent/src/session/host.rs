//! Hearing that the host's own links, addresses or routes have changed.

use std::collections::BTreeSet;
use std::io;
use std::net::IpAddr;
use std::os::fd::AsFd;
use std::time::Duration;

use egress_linux::link::Changes;
use egress_linux::ready;
use tokio::io::Interest;
use tokio::time::sleep;
use tracing::{debug, error, warn};

use super::lifeline::{Command, tell};
use super::manager::Manager;
use crate::telemetry::chain;
use crate::tunnel::own_addresses::own_addresses;

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
            let mut addresses = wide_addresses().await;
            while let Ok(mut ready) = readable.readable().await {
                sleep(CALM).await;
                ready.clear_ready();
                match changes.drain() {
                    Ok(true) => {
                        manager.tell_all("links, addresses or routes", || Command::HostChanged);
                        let now = wide_addresses().await;
                        if now.is_some() && now != addresses {
                            addresses = now;
                            manager.tell_all("own addresses", || Command::HostRenumbered);
                        }
                    }
                    Ok(false) => {}
                    Err(error) => {
                        return error!(error = %chain(&error), "the host's changes are not heard");
                    }
                }
            }
        });
        Ok(())
    }

    fn tell_all(&self, what: &str, command: impl Fn() -> Command) {
        let lifelines = self.lifelines();
        debug!(sessions = lifelines.len(), "the host's {what} have changed");
        for (_, lifeline) in lifelines {
            // Also one that is busy: its seal has to know the host's new addresses.
            tell(lifeline.commands_tx, command());
        }
    }
}

/// The host's own addresses but for those of single links, which no seal lets through anyway; `None` when they
/// cannot be read.
async fn wide_addresses() -> Option<BTreeSet<IpAddr>> {
    let read = own_addresses().await.inspect_err(|error| {
        warn!(error = %chain(error), "the host's addresses cannot be read");
    });
    Some(read.ok()?.into_iter().filter(|address| !is_of_one_link(*address)).collect())
}

fn is_of_one_link(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => address.is_link_local(),
        IpAddr::V6(address) => address.is_unicast_link_local(),
    }
}

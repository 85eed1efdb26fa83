//! Telling systemd that the agent is alive, where its unit has `WatchdogSec=`: one that hangs is
//! killed then and started again, and finds its sessions.

use sd_notify::{NotifyState, notify, watchdog_enabled};
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::task::AbortOnDropHandle;

/// Tells it from now on until this is dropped; `None` where nobody wants to know.
pub fn start() -> Option<AbortOnDropHandle<()>> {
    let within = watchdog_enabled()?;
    let mut beats = interval(within / 3);
    beats.set_missed_tick_behavior(MissedTickBehavior::Delay);
    Some(AbortOnDropHandle::new(tokio::spawn(async move {
        loop {
            beats.tick().await;
            // The next one may get through.
            let _ = notify(&[NotifyState::Watchdog]);
        }
    })))
}

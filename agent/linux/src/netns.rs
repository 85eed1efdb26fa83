//! Network namespaces: opening one that a launcher named, being inside for a moment, knowing
//! who else is.

mod device;
mod enter;
mod inhabitants;
mod open;

pub(crate) use self::device::device_netns;
pub use self::{
    enter::{EnterError, Netns, boot_id, own_cookie},
    inhabitants::{MountChanges, inhabitant, inhabitants, leads_to},
    open::OpenError,
};

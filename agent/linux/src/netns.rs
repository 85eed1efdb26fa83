//! Network namespaces: opening one that a launcher named, being inside for a moment.

mod device;
mod enter;
mod open;

pub use self::{
    enter::{EnterError, Netns, boot_id, own_cookie},
    open::OpenError,
};

//! Links with their addresses and routes, in the calling thread's namespace.

mod changes;
mod configure;
mod list;

pub use self::{
    changes::Changes,
    configure::{Interface, LinkError, configure},
    list::{Link, addresses, links},
};

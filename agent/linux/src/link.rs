//! Links with their addresses and routes, in the calling thread's namespace.

mod address;
mod changes;
mod configure;
mod list;
mod route;
mod traffic;

pub use self::{
    address::AddressError,
    changes::Changes,
    configure::{Interface, LinkError, configure},
    list::{Link, addresses, links},
    route::RouteError,
    traffic::{Traffic, traffic},
};

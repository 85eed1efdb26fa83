//! One container's egress, from attach to detach.

mod machine;
mod phase;
mod reasons;

pub use machine::{Action, Input, Machine};

//! One container's egress, from attach to detach.

mod machine;

pub use machine::{Action, Input, Machine};

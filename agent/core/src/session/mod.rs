//! One container's egress, from attach to detach.

mod action;
mod input;
mod machine;
mod phase;
mod reasons;

pub use action::Action;
pub use input::Input;
pub use machine::Machine;

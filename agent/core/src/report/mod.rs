//! What a control plane is told of this host's live connections, and when.

mod message;
mod schedule;
mod signature;

pub use message::{FORMAT, Report, Sequence};
pub use schedule::{GAP, Schedule};
pub use signature::{SIGNATURE_HEADER, TIMESTAMP_HEADER, sign};

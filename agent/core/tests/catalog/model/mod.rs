//! Selection as the design describes it, against the implementation, over random catalogs.
//!
//! The model was written without sight of the implementation, shares no decision with it, and is
//! slow and plain on purpose.

mod agreement;
mod draft;
mod random;
mod verdict;
mod world;

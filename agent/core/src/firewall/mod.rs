//! What may leave a container in which state, as an nftables ruleset.
//!
//! `SECURITY.md` is the specification. Every ruleset is a whole: applied in one transaction it
//! replaces the one before, keeps the counters, and never leaves a moment without rules. The table
//! holds in the container's namespace for as long as that lives, whatever becomes of the agent.

mod ruleset;
mod sealed;

pub use ruleset::{Chain, Hook, Rule, Ruleset, Test, Verdict};
pub use sealed::{Opening, Policy, REFUSED_COUNTER, SEALED_COUNTER, TABLE};

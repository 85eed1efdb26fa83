//! Rules that settings keep.

use egress_core::fault::Finding;

/// Whether it holds, whose it is, and what is expected.
pub(super) type Rule<'a> = (bool, &'a str, &'a str);

/// A fault for each rule that does not hold.
pub(super) fn broken(rules: &[Rule<'_>]) -> Vec<Finding> {
    let broken = rules.iter().filter(|(holds, ..)| !holds);
    broken.map(|(_, setting, expected)| Finding::fault(*expected).about(*setting)).collect()
}

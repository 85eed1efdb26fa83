//! Numbers of findings by class.

use std::fmt;

use super::{Finding, Severity};

/// Numbers of findings by class.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    /// Faults: the input is refused for them.
    pub faults: usize,
    /// Warnings: the input is taken and probably not what was meant.
    pub warnings: usize,
    /// Notes: worth knowing.
    pub notes: usize,
}

impl Tally {
    /// Counts.
    pub fn of(findings: &[Finding]) -> Self {
        let mut tally = Self::default();
        for finding in findings {
            match finding.severity {
                Severity::Fault => tally.faults += 1,
                Severity::Warning => tally.warnings += 1,
                Severity::Note => tally.notes += 1,
            }
        }
        tally
    }

    /// Tells whether nothing was found.
    pub fn is_empty(self) -> bool {
        self == Self::default()
    }
}

impl fmt::Display for Tally {
    /// `1 fault, 2 warnings`: what there is none of is left out.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let counts = [(self.faults, "fault"), (self.warnings, "warning"), (self.notes, "note")];
        let mut counts = counts.into_iter().filter(|(count, _)| *count > 0);
        let Some((first, name)) = counts.next() else { return f.write_str("nothing to say") };
        write!(f, "{first} {name}{}", plural(first))?;
        counts.try_for_each(|(count, name)| write!(f, ", {count} {name}{}", plural(count)))
    }
}

fn plural(count: usize) -> &'static str {
    if count == 1 { "" } else { "s" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_class_is_counted_by_itself_and_what_there_is_none_of_is_left_out() {
        let findings =
            [Finding::note("a"), Finding::fault("b"), Finding::note("c"), Finding::note("d")];
        assert_eq!(Tally::of(&findings).to_string(), "1 fault, 3 notes");
        assert_eq!(Tally::of(&[]).to_string(), "nothing to say");
        assert!(Tally::of(&[]).is_empty());
    }
}

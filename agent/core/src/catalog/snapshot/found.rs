//! What is found in a snapshot, no more of it than is worth telling.

use crate::fault::{Finding, Severity};

/// The most findings that a snapshot is worth; a note says how many more there are.
const FINDINGS_MAX: usize = 10_000;

/// Findings as they come. Faults are kept before warnings and notes.
#[derive(Debug, Default)]
pub(super) struct Found {
    faults: Vec<Finding>,
    others: Vec<Finding>,
    /// Those that there was no room for.
    more: usize,
}

impl Found {
    pub fn push(&mut self, finding: Finding) {
        let list = match finding.severity {
            Severity::Fault => &mut self.faults,
            Severity::Warning | Severity::Note => &mut self.others,
        };
        if list.len() < FINDINGS_MAX {
            list.push(finding);
        } else {
            self.more += 1;
        }
    }

    /// Everything that is told, faults first.
    pub fn finish(self) -> Vec<Finding> {
        let Self { faults: mut findings, others, more } = self;
        let room = FINDINGS_MAX - findings.len();
        let more = more + others.len().saturating_sub(room);
        findings.extend(others.into_iter().take(room));
        if more > 0 {
            findings.push(Finding::note(format!("{more} more findings are not listed")));
        }
        findings
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_are_told_before_warnings_and_what_is_left_out_is_counted() {
        let mut found = Found::default();
        found.push(Finding::warning("w"));
        (0..FINDINGS_MAX + 2).for_each(|nth| found.push(Finding::fault(nth.to_string())));
        let findings = found.finish();
        assert_eq!(findings.len(), FINDINGS_MAX + 1);
        assert!(findings[..FINDINGS_MAX].iter().all(|it| it.severity == Severity::Fault));
        assert_eq!(findings[FINDINGS_MAX].message, "3 more findings are not listed");
    }
}

//! Findings as they come, of each class no more than are worth telling.

use super::{Finding, Severity};

/// The most faults of a document of many records.
pub const FAULTS_MAX: usize = 10_000;
/// The most warnings, and the most notes, of such a document.
const REMARKS_MAX: usize = 1_000;
/// The most findings of one class that one text is worth.
const TEXT_MAX: usize = 100;

/// What has been found so far. Of each class the first findings are listed and the others counted:
/// no class takes the room of another.
#[derive(Debug)]
pub(crate) struct Report {
    faults: Class,
    warnings: Class,
    notes: Class,
}

#[derive(Debug)]
struct Class {
    most: usize,
    listed: Vec<Finding>,
    more: usize,
}

impl Default for Report {
    /// For one text.
    fn default() -> Self {
        Self::with_room_for(TEXT_MAX, TEXT_MAX)
    }
}

impl Report {
    /// For a document of many records.
    pub fn of_many() -> Self {
        Self::with_room_for(FAULTS_MAX, REMARKS_MAX)
    }

    fn with_room_for(faults: usize, remarks: usize) -> Self {
        let class = |most| Class { most, listed: Vec::new(), more: 0 };
        Self { faults: class(faults), warnings: class(remarks), notes: class(remarks) }
    }

    pub fn push(&mut self, finding: Finding) {
        match finding.severity {
            Severity::Fault => self.faults.push(|| finding),
            Severity::Warning => self.warnings.push(|| finding),
            Severity::Note => self.notes.push(|| finding),
        }
    }

    /// A fault that takes time to work out: no more than are listed are.
    pub fn push_fault(&mut self, fault: impl FnOnce() -> Finding) {
        self.faults.push(fault);
    }

    /// Everything, faults first.
    pub fn by_class(self) -> Vec<Finding> {
        let Self { faults, warnings, notes } = self;
        let mut findings = faults.finish(Severity::Fault, "faults");
        findings.extend(warnings.finish(Severity::Warning, "warnings"));
        findings.extend(notes.finish(Severity::Note, "notes"));
        findings
    }

    /// Everything, in the order of the lines.
    pub fn by_line(self) -> Vec<Finding> {
        let mut findings = self.by_class();
        findings.sort_by_key(|finding| finding.line.unwrap_or(u32::MAX));
        findings
    }
}

impl Class {
    fn push(&mut self, finding: impl FnOnce() -> Finding) {
        if self.listed.len() < self.most {
            self.listed.push(finding());
        } else {
            self.more += 1;
        }
    }

    /// The findings; one more says how many are not listed.
    fn finish(self, severity: Severity, name: &str) -> Vec<Finding> {
        let Self { mut listed, more, .. } = self;
        if more > 0 {
            listed.push(Finding::new(severity, format!("{more} more {name} are not listed")));
        }
        listed
    }
}

/// Findings of a document of many records, as far as they are worth telling; faults first.
pub fn bounded(findings: impl IntoIterator<Item = Finding>) -> Vec<Finding> {
    let mut report = Report::of_many();
    findings.into_iter().for_each(|finding| report.push(finding));
    report.by_class()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hundred_faults_are_worked_out_and_the_others_counted() {
        let (mut report, mut worked_out) = (Report::default(), 0);
        report.push(Finding::note("a note"));
        for line in 1..=250 {
            report.push_fault(|| {
                worked_out += 1;
                Finding::fault("wrong").at_line(line)
            });
        }
        let found = report.by_line();
        assert_eq!((found.len(), worked_out), (102, 100));
        assert_eq!(found[99].line, Some(100));
        assert_eq!(found[100].to_string(), "150 more faults are not listed");
        assert_eq!(found[101].message, "a note");
    }

    #[test]
    fn notes_take_no_room_from_faults_and_warnings() {
        let notes = (0..5_000).map(|_| Finding::note("n"));
        let last = [Finding::warning("w"), Finding::fault("f")];
        let found = bounded(notes.chain(last));
        assert_eq!((&found[0].message[..], &found[1].message[..]), ("f", "w"));
        assert_eq!(found.len(), 2 + REMARKS_MAX + 1);
        assert_eq!(found.last().unwrap().to_string(), "note: 4000 more notes are not listed");
    }
}

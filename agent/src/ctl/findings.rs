//! Findings in words: faults first, then warnings, then notes on request; each once.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use egress_core::fault::{Finding, Severity, Tally};

/// Everything that was found, and what it comes to.
pub fn words(findings: &[Finding], verbose: bool) -> String {
    let findings = each_once(findings);
    let tally = Tally::of(&findings);
    let mut text = lines(&findings, verbose);
    if !tally.is_empty() {
        text.push_str(&summary(tally, verbose));
        text.push('\n');
    }
    text
}

/// A line each. Unless `verbose`, notes are not among them, and a warning that many files or records
/// share is told of the first.
pub fn lines(findings: &[Finding], verbose: bool) -> String {
    let mut text = String::new();
    for finding in of_class(findings, Severity::Fault) {
        line(&mut text, finding, 0);
    }
    if verbose {
        let others = [Severity::Warning, Severity::Note].into_iter();
        for finding in others.flat_map(|class| of_class(findings, class)) {
            line(&mut text, finding, 0);
        }
    } else {
        for (finding, more) in alike(of_class(findings, Severity::Warning)) {
            line(&mut text, finding, more);
        }
    }
    text
}

/// How many there are of each class, and how to see those that are not shown.
fn summary(tally: Tally, verbose: bool) -> String {
    let how = if tally.notes > 0 && !verbose { " (-v shows notes)" } else { "" };
    format!("{tally}{how}")
}

/// What is found by the program and again by the agent is one finding.
fn each_once(findings: &[Finding]) -> Vec<Finding> {
    let mut once: Vec<Finding> = Vec::with_capacity(findings.len());
    let mut seen = BTreeSet::new();
    for finding in findings {
        if seen.insert(finding.to_string()) {
            once.push(finding.clone());
        }
    }
    once
}

fn of_class(findings: &[Finding], class: Severity) -> impl Iterator<Item = &Finding> {
    findings.iter().filter(move |finding| finding.severity == class)
}

/// The first of those that say the same of the same field, with the number of the others.
fn alike<'a>(findings: impl Iterator<Item = &'a Finding>) -> Vec<(&'a Finding, usize)> {
    let mut groups: Vec<(&Finding, usize)> = Vec::new();
    let mut known = BTreeMap::new();
    for finding in findings {
        let at = *known.entry((field(finding), &finding.message)).or_insert(groups.len());
        match groups.get_mut(at) {
            Some((_, more)) => *more += 1,
            None => groups.push((finding, 0)),
        }
    }
    groups
}

/// The field without the number of its entry.
fn field(finding: &Finding) -> Option<&str> {
    let field = finding.field.as_deref()?;
    Some(field.split_once("].").map_or(field, |(_, rest)| rest))
}

fn line(text: &mut String, finding: &Finding, more: usize) {
    let alike = if more > 0 { format!(" (and {more} more like it)") } else { String::new() };
    writeln!(text, "{finding}{alike}").expect("a String takes everything");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found() -> Vec<Finding> {
        let cipher = |file: &str, line| {
            Finding::warning("left out: gone").in_file(file).at_line(line).about("cipher")
        };
        vec![
            Finding::note("left out: moot").in_file("a.ovpn").at_line(2).about("dev"),
            cipher("a.ovpn", 3),
            cipher("b.ovpn", 4),
            Finding::fault("no remote").in_file("b.ovpn").about("remote"),
            Finding::fault("no remote").in_file("b.ovpn").about("remote"),
        ]
    }

    #[test]
    fn faults_come_first_and_each_finding_once() {
        assert_eq!(
            words(&found(), true),
            "b.ovpn: remote: no remote\n\
             a.ovpn:3: cipher: warning: left out: gone\n\
             b.ovpn:4: cipher: warning: left out: gone\n\
             a.ovpn:2: dev: note: left out: moot\n\
             1 fault, 2 warnings, 1 note\n"
        );
    }

    #[test]
    fn without_asking_notes_are_counted_and_warnings_alike_are_told_once() {
        assert_eq!(
            words(&found(), false),
            "b.ovpn: remote: no remote\n\
             a.ovpn:3: cipher: warning: left out: gone (and 1 more like it)\n\
             1 fault, 2 warnings, 1 note (-v shows notes)\n"
        );
        assert_eq!(words(&[], false), "");
    }
}

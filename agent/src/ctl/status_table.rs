//! Status of an agent, as a table for people.

use std::collections::BTreeMap;

use egress_core::api::{PartView, StatusView};

use super::session_tables::seconds_since;
use super::tables::{age, blank, finish};
use super::times::utc;

/// What is wrong comes last, with what mends it.
pub fn status(status: &StatusView) -> String {
    let mut table = blank();
    let up = age(seconds_since(status.started_at));
    table.add_row(["version".to_owned(), status.version.clone()]);
    table.add_row(["up".to_owned(), format!("{up}, since {}", utc(status.started_at))]);
    for part in &status.parts {
        table.add_row([part.name.clone(), state(part)]);
    }
    table.add_row(["sessions".to_owned(), counts(&status.sessions)]);
    table.add_row(["catalog".to_owned(), counts(&status.catalog)]);
    let wrong = status.parts.iter().filter(|part| !part.ok).map(|part| {
        let fix = part.fix.as_ref().map(|fix| format!(": {fix}")).unwrap_or_default();
        format!("{}: {}{fix}\n", part.name, part.detail)
    });
    let ready = if status.ready { "ready" } else { "NOT READY" };
    format!("{}{ready}\n{}", finish(&table), wrong.collect::<String>())
}

fn state(part: &PartView) -> String {
    if part.ok { part.detail.clone() } else { "WRONG, see below".to_owned() }
}

fn counts(counts: &BTreeMap<String, u32>) -> String {
    let counts: Vec<_> = counts.iter().map(|(what, count)| format!("{count} {what}")).collect();
    if counts.is_empty() { "none".to_owned() } else { counts.join(", ") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_stands_at_the_end_with_what_mends_it() {
        let part = |name: &str, ok, detail: &str, fix: Option<&str>| PartView {
            name: name.into(),
            ok,
            detail: detail.into(),
            fix: fix.map(str::to_owned),
        };
        let view = StatusView {
            version: "1.2.3".into(),
            started_at: 1_796_000_000,
            ready: false,
            parts: vec![
                part("data plane", true, "running", None),
                part("nftables", false, "it does not answer", Some("modprobe nf_tables")),
            ],
            sessions: [("blocked".to_owned(), 1), ("connected".to_owned(), 2)].into(),
            catalog: BTreeMap::new(),
        };
        let text = status(&view);
        let ends = "NOT READY\nnftables: it does not answer: modprobe nf_tables\n";
        assert!(text.ends_with(ends), "{text}");
        assert!(text.contains("1 blocked, 2 connected"), "{text}");
    }
}

//! Figures as tables: medians with their range, and what the first peer is of each other.

use std::fmt::Write as _;

use crate::figures::{Figures, Spread};

/// Every table, one behind the other.
pub fn render(figures: &Figures) -> String {
    let mut text = String::new();
    let mut table = None;
    for (index, row) in figures.rows().iter().enumerate() {
        if table.replace(&row.table) != Some(&row.table) {
            let _ = write!(text, "\n{}\n\n{}", row.table, head(figures));
        }
        let _ = write!(text, "| {} | {} |", row.traffic, row.measure);
        let first = figures.spread(index, 0);
        for peer in 0..figures.peers().len() {
            let spread = figures.spread(index, peer);
            let _ = write!(text, " {} |", cell(spread));
            if peer > 0 {
                let _ = write!(text, " {} |", ratio(first, spread));
            }
        }
        text.push('\n');
    }
    text
}

fn head(figures: &Figures) -> String {
    let names = figures.peers().iter().enumerate().map(|(index, name)| match index {
        0 => format!(" {name} |"),
        _ => format!(" {name} | × |"),
    });
    let columns = 1 + 2 * figures.peers().len();
    let names: String = names.collect();
    format!("| traffic | measure |{names}\n|{}\n", " --- |".repeat(columns))
}

fn cell(spread: Option<Spread>) -> String {
    let Some(Spread { median, least, most }) = spread else { return "–".to_owned() };
    format!("{} ({}..{})", short(median), short(least), short(most))
}

fn ratio(ours: Option<Spread>, other: Option<Spread>) -> String {
    match (ours, other) {
        (Some(ours), Some(other)) if other.median > 0.0 => {
            format!("{:.2}", ours.median / other.median)
        }
        (Some(_) | None, Some(_) | None) => "–".to_owned(),
    }
}

/// Three digits or all before the point.
fn short(value: f64) -> String {
    let digits = match value.abs() {
        large if large >= 100.0 => 0,
        middle if middle >= 10.0 => 1,
        small if small >= 1.0 => 2,
        _ => 3,
    };
    format!("{value:.digits$}")
}

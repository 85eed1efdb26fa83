//! What the demo says, on standard output.

use std::fmt::Display;
use std::io::{self, Write as _};

/// How wide the left column is.
const LEFT: usize = 32;

/// Begins a part.
pub fn title(text: &str) {
    say(&format!("\n{text}"));
}

/// One thing and what was seen of it.
pub fn line(left: &str, right: impl Display) {
    say(&format!("  {left:LEFT$}{right}"));
}

/// A plain line.
pub fn say(text: &str) {
    // Nobody watches any more when this fails.
    let _ = writeln!(io::stdout(), "{text}");
}

/// Why the demo ended early, on standard error.
pub fn complain(text: &str) {
    let _ = writeln!(io::stderr(), "egressctl demo: {text}");
}

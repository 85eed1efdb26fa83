//! What a long or a hard life does to tunnels: much data, a data plane killed under load, rekeys.
//!
//! `cargo bench --bench endurance -- [integrity] [kills] [soak]`; without names all three. How much
//! of each is said by `MEGABYTES` (1000), `KILLS` (50) and `MINUTES` (1). The far end is the
//! distribution's `wireguard-go`, or what `EGRESS_FAR_END` names.

#![allow(clippy::print_stdout, reason = "what is measured is shown")]

#[path = "../../tests/it/harness/mod.rs"]
#[allow(dead_code, reason = "the tests use the rest")]
mod harness;

mod integrity;
mod kills;
mod load;
#[allow(dead_code, reason = "other benches use the rest")]
mod process;
mod rival;
mod soak;

/// What can be measured, by its name.
const ALL: [(&str, fn()); 3] =
    [("integrity", integrity::run), ("kills", kills::run), ("soak", soak::run)];

fn main() {
    // Cargo adds `--bench`.
    let wanted: Vec<_> = std::env::args().skip(1).filter(|name| !name.starts_with('-')).collect();
    for name in &wanted {
        assert!(ALL.iter().any(|(known, _)| known == name), "there is no {name}");
    }
    for (name, run) in ALL {
        if wanted.is_empty() || wanted.iter().any(|wanted| wanted == name) {
            println!("\n== {name}");
            run();
        }
    }
}

/// A number from the environment.
fn setting(name: &str, default: u32) -> u32 {
    let given = std::env::var(name).ok();
    given.map_or(default, |text| {
        text.parse().unwrap_or_else(|_| panic!("{name}={text}: expected a number"))
    })
}

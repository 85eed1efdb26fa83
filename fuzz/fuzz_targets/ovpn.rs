//! An `.ovpn` text is written for openvpn harmlessly, or refused with faults on its own lines.
#![no_main]

use egress_core::catalog::OnHooks;
use egress_core::openvpn::{
    Supervision, canonical, check, file_references, inline_files, parse, redact, strip_login,
};
use libfuzzer_sys::fuzz_target;

/// Openvpn's longest line, and what is never written whatever a text says.
const LINE_MAX: usize = 254;
const NEVER: [&str; 8] =
    ["plugin", "up", "down", "config", "providers", "tls-verify", "route-up", "iproute"];

fuzz_target!(|text: &str| {
    // Whether commands are left out, decided by what the fuzzer can change freely.
    let on_hooks = if text.len().is_multiple_of(2) { OnHooks::Drop } else { OnHooks::Refuse };
    match check(text, on_hooks).outcome {
        Ok((config, _)) => {
            let supervision = Supervision::new("/run/m", "eg0", "/run/t").expect("plain words");
            is_harmless(canonical(&config, &supervision).expose());
        }
        Err(faults) => {
            let lines = text.split('\n').count();
            let mut placed = faults.0.iter().filter_map(|fault| fault.line);
            assert!(placed.all(|line| (1..=lines).contains(&(line as usize))));
        }
    }
    let (stripped, _) = strip_login(text);
    let _ = parse(&stripped, on_hooks);
    let _ = redact(text);
    let _ = file_references(text);
    let _ = inline_files(text, |_| Some(b"x".to_vec()));
});

fn is_harmless(written: &str) {
    let (theirs, _) = written.split_once("\ndev eg0\n").expect("the agent's lines come last");
    assert!(parse(theirs, OnHooks::Refuse).is_ok(), "what was written cannot be read");
    for line in theirs.lines() {
        let name = line.trim_start_matches([' ', '\t', '"', '\'', '-', '<']);
        let name = name.split([' ', '"', '\'', '>']).next();
        assert!(line.len() <= LINE_MAX && !NEVER.iter().any(|bad| name == Some(bad)), "{line}");
    }
}

//! A wg-quick text is a config within its bounds, or refused with faults on its own lines.
#![no_main]

use egress_core::wireguard::config::{ALLOWED_IPS_MAX, LIST_MAX, PEERS_MAX};
use egress_core::wireguard::{Rules, parse, redact, strip_private_key};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    // Whether parts of the internet may be left out, decided by what the fuzzer can change freely.
    let split = text.len().is_multiple_of(2);
    let lines = text.split('\n').count();
    match parse(text, &Rules { split, ..Rules::default() }) {
        Ok((config, _)) => {
            assert!((1..=PEERS_MAX).contains(&config.peers.len()));
            let nets = config.peers.iter().map(|peer| peer.allowed_ips.len());
            assert!(nets.sum::<usize>() <= ALLOWED_IPS_MAX);
            assert!(config.addresses.len() <= LIST_MAX && config.dns.len() <= LIST_MAX);
        }
        Err(faults) => {
            let mut placed = faults.0.iter().filter_map(|fault| fault.line);
            assert!(placed.all(|line| (1..=lines).contains(&(line as usize))));
        }
    }
    let (stripped, _) = strip_private_key(text);
    assert!(strip_private_key(&stripped).1.is_none());
    assert_eq!(stripped.split('\n').count(), lines);
    let shown = redact(&stripped);
    assert_eq!(redact(&shown), shown);
});

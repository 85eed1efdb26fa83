//! What holds for every text.

use egress_core::openvpn::known_directives;
use egress_core::openvpn::management::{Command, encode};
use egress_core::secret::Secret;
use proptest::collection::vec;
use proptest::prelude::*;

use crate::profiles::written;
use crate::templates::{check, one_of_each, parse, sound};

fn fragment() -> impl Strategy<Value = String> {
    let known: Vec<&str> = known_directives().collect();
    let marks = vec![
        "<",
        "</",
        ">",
        "<ca>",
        "</ca>",
        "<connection>",
        "</connection>",
        "\"",
        "'",
        "\\",
        "#",
        ";",
        "\n",
        "\r\n",
        "\r",
        "\0",
        "\u{feff}",
        " ",
        "\t",
        "--",
        "setenv opt ",
        "[inline]",
        "none",
        "1194",
        "udp",
        "tcp",
        "-----BEGIN CERTIFICATE-----",
        "-----END CERTIFICATE-----",
        "QUJD",
        "remote a.example 1194",
        "198.51.100.7",
        "::1",
    ];
    prop_oneof![
        3 => prop::sample::select(marks).prop_map(str::to_owned),
        2 => prop::sample::select(known).prop_map(str::to_owned),
        1 => ".{0,8}",
    ]
}

/// A profile with something else in the place of some of its lines.
fn spoilt() -> impl Strategy<Value = String> {
    let texts: Vec<String> = one_of_each().map(|(_, text)| text).collect();
    let spoil = (any::<prop::sample::Index>(), vec(fragment(), 0..6));
    (prop::sample::select(texts), vec(spoil, 1..5)).prop_map(|(text, spoils)| {
        let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
        for (index, fragments) in spoils {
            *index.get_mut(&mut lines) = fragments.concat();
        }
        lines.join("\n")
    })
}

/// Lines of the canonical config that nobody asked for.
fn dangerous(line: &str) -> bool {
    const NAMES: [&str; 14] = [
        "plugin",
        "up",
        "down",
        "config",
        "providers",
        "tls-verify",
        "route-up",
        "ipchange",
        "engine",
        "iproute",
        "pkcs11-providers",
        "log",
        "status",
        "writepid",
    ];
    let name = line.trim_start_matches([' ', '\t', '"', '\'', '-', '<']);
    NAMES.iter().any(|bad| name.split([' ', '"', '\'', '>']).next() == Some(bad))
}

proptest! {
    #[test]
    fn no_text_makes_it_panic(text in any::<String>()) {
        let _ = check(&text);
    }

    #[test]
    fn no_text_of_known_words_makes_it_panic(fragments in vec(fragment(), 0..60)) {
        let _ = check(&fragments.concat());
    }

    #[test]
    fn whatever_is_taken_is_written_harmlessly_and_read_back(text in spoilt()) {
        if let Ok((config, _)) = parse(&text) {
            let text = written(&config);
            for line in text.lines() {
                prop_assert!(line.len() <= 254 && !dangerous(line), "{}", line);
            }
            let (theirs, _) = text.split_once("\ndev eg0\n").unwrap();
            prop_assert!(parse(theirs).is_ok(), "{}", theirs);
        }
    }

    #[test]
    fn no_word_breaks_out_of_its_line(word in ".{0,40}") {
        let text = sound().replacen("dev tun", &format!("verify-x509-name '{word}'"), 1);
        if let Ok((config, _)) = parse(&text) {
            let lines = written(&config);
            let plain = written(&parse(&sound()).unwrap().0);
            prop_assert_eq!(lines.lines().count(), plain.lines().count() + 1);
        }
    }

    /// openvpn reads a command as it reads a line of a config.
    #[test]
    fn a_command_is_read_back_as_it_was_meant(kind in "[^\\pC]{1,30}", value in "[^\\pC]{0,60}") {
        let command = Command::Password { kind: kind.clone(), value: Secret::new(value.clone()) };
        let line = encode(&command).unwrap();
        prop_assert_eq!(unquoted(line.expose()), ["password".to_owned(), kind, value]);
    }
}

/// Openvpn's rules for a line, written down once more and as simply as possible.
fn unquoted(line: &str) -> Vec<String> {
    let line = line.strip_suffix('\n').unwrap();
    let (command, rest) = line.split_once(' ').unwrap();
    let mut words = vec![command.to_owned()];
    let mut chars = rest.chars();
    while let Some(c) = chars.next() {
        match c {
            '"' => words.push(quoted(&mut chars)),
            c => assert_eq!(c, ' '),
        }
    }
    words
}

fn quoted(chars: &mut impl Iterator<Item = char>) -> String {
    let mut word = String::new();
    loop {
        match chars.next().expect("a closing quote") {
            '"' => return word,
            '\\' => word.push(chars.next().expect("an escaped character")),
            c => word.push(c),
        }
    }
}

//! Private keys, cut out of a wg-quick text without moving its lines.

use super::key;
use super::lexer::{Content, Line, lines};
use super::sections::{InterfaceKey, Key, PeerKey};
use crate::secret::Secret;

/// What stands in the place of a line that held a private key.
const PRIVATE_KEY_CUT: &str = "# PrivateKey: set by the credential";
/// What stands in the place of a line that held a preshared key.
const PRESHARED_KEY_CUT: &str = "# PresharedKey: not shown";

/// The text without its private keys, and the first that was one. Lines keep their numbers; lines
/// that are commented out lose their keys as well. Preshared keys stay: they are part of what the
/// gateway is, so the text is still not for everybody's eyes.
pub fn strip_private_key(text: &str) -> (String, Option<Secret<[u8; 32]>>) {
    let key = lines(text).find_map(|line| match line.content {
        Content::Pair { key, value } if is(InterfaceKey::PrivateKey, key) => {
            key::secret_key(value).ok()
        }
        Content::Pair { .. } | Content::Blank | Content::Section(_) | Content::Malformed(_) => None,
    });
    (replace_lines(text, private_key_cut), key)
}

/// The text without private and preshared keys, to be shown.
pub fn redact(text: &str) -> String {
    replace_lines(text, |line| private_key_cut(line).or_else(|| preshared_key_cut(line)))
}

fn replace_lines(text: &str, cut: impl Fn(&Line<'_>) -> Option<&'static str>) -> String {
    let kept = |(raw, line): (_, Line<'_>)| cut(&line).unwrap_or(raw);
    let lines: Vec<_> = text.split('\n').zip(lines(text)).map(kept).collect();
    lines.join("\n")
}

fn private_key_cut(line: &Line<'_>) -> Option<&'static str> {
    mentions(line, InterfaceKey::PrivateKey).then_some(PRIVATE_KEY_CUT)
}

fn preshared_key_cut(line: &Line<'_>) -> Option<&'static str> {
    mentions(line, PeerKey::PresharedKey).then_some(PRESHARED_KEY_CUT)
}

fn mentions<K: Key>(line: &Line<'_>, wanted: K) -> bool {
    let in_comment =
        |comment: &str| comment.to_ascii_lowercase().contains(&wanted.name().to_ascii_lowercase());
    match line.content {
        Content::Pair { key, .. } if is(wanted, key) => true,
        Content::Pair { .. } | Content::Blank | Content::Section(_) | Content::Malformed(_) => {
            line.comment.is_some_and(in_comment)
        }
    }
}

fn is<K: Key>(wanted: K, key: &str) -> bool {
    K::named(key) == Some(wanted)
}

//! Certificates and keys as PEM: found in a block's text, checked, and written anew.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

use super::lexer::Block;
use super::taken::Refusal;
use crate::secret::Secret;

/// Columns of a line that is written.
const WIDTH: usize = 64;
/// Hexadecimal digits of a static key: 2048 bits.
const STATIC_KEY_DIGITS: usize = 512;
const STATIC_KEY: &str = "OpenVPN Static key V1";

/// What a block holds of what was looked for.
pub(super) struct Found {
    /// All of it and nothing else, in lines of 64 columns.
    pub text: Secret<String>,
    /// A key in it is encrypted.
    pub encrypted: bool,
}

/// Finds the objects with one of these labels. What stands around them is left out, as openvpn
/// ignores it too.
pub(super) fn find(block: Block<'_>, labels: &[&str]) -> Result<Found, Refusal> {
    let mut text = room_for(block);
    let mut encrypted = false;
    let mut lines = block.text.lines().map(str::trim).zip(block.line..);
    while let Some((line, number)) = lines.next() {
        let Some(label) = label(line, "-----BEGIN ") else { continue };
        let object = Object::read(label, number, &mut lines)?;
        if labels.contains(&label) {
            object.write(&mut text)?;
            encrypted |= object.encrypted();
        }
    }
    if text.is_empty() {
        let expected = labels.first().expect("every block is searched for something");
        return Err(Refusal::from(format!("there is no whole {expected} between the tags")));
    }
    Ok(Found { text: sealed(text), encrypted })
}

/// Base64 without labels, such as PKCS #12.
pub(super) fn bare_base64(block: Block<'_>) -> Result<Secret<String>, Refusal> {
    let mut text = room_for(block);
    write_base64(&joined(block.text.lines().map(str::trim)), &mut text)?;
    Ok(sealed(text))
}

/// Room enough that no shorter copy of a key stays behind in a buffer that grew.
fn room_for(block: Block<'_>) -> Zeroizing<String> {
    Zeroizing::new(String::with_capacity(3 * block.text.len() + 2 * WIDTH))
}

fn sealed(mut text: Zeroizing<String>) -> Secret<String> {
    Secret::new(std::mem::take(&mut *text))
}

fn label<'a>(line: &'a str, begin: &str) -> Option<&'a str> {
    line.strip_prefix(begin)?.strip_suffix("-----")
}

struct Object<'a> {
    label: &'a str,
    line: u32,
    /// RFC 1421 headers, which encrypted keys of old have.
    headers: Vec<&'a str>,
    body: Zeroizing<String>,
}

impl<'a> Object<'a> {
    fn read(
        name: &'a str,
        line: u32,
        lines: &mut impl Iterator<Item = (&'a str, u32)>,
    ) -> Result<Self, Refusal> {
        let mut inside = Vec::new();
        for (text, number) in lines {
            match label(text, "-----END ") {
                Some(end) if end == name => return Ok(Self::of(name, line, &inside)),
                Some(_) => return Err(Refusal::at(number, "an END without its BEGIN")),
                None if text.starts_with("-----BEGIN ") => break,
                None => inside.push(text),
            }
        }
        Err(Refusal::at(line, "this BEGIN has no END"))
    }

    fn of(label: &'a str, line: u32, inside: &[&'a str]) -> Self {
        let headers = inside.iter().take_while(|line| line.contains(':')).copied().collect();
        let body = inside.iter().skip_while(|line| line.contains(':'));
        Self { label, line, headers, body: joined(body.copied()) }
    }

    fn encrypted(&self) -> bool {
        let says_so =
            |header: &&str| header.starts_with("Proc-Type:") && header.contains("ENCRYPTED");
        self.label.starts_with("ENCRYPTED ") || self.headers.iter().any(says_so)
    }

    fn write(&self, text: &mut String) -> Result<(), Refusal> {
        let at = |why: &str| Refusal::at(self.line, why);
        text.extend(["-----BEGIN ", self.label, "-----\n"]);
        if self.label == STATIC_KEY {
            write_hex(&self.body, text).map_err(at)?;
        } else {
            write_headers(&self.headers, text).map_err(at)?;
            write_base64(&self.body, text).map_err(at)?;
        }
        text.extend(["-----END ", self.label, "-----\n"]);
        Ok(())
    }
}

fn joined<'a>(lines: impl Iterator<Item = &'a str> + Clone) -> Zeroizing<String> {
    let mut body = Zeroizing::new(String::with_capacity(lines.clone().map(str::len).sum()));
    lines.for_each(|line| body.push_str(line));
    body
}

fn write_headers(headers: &[&str], text: &mut String) -> Result<(), &'static str> {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-,: ".contains(&b);
    for header in headers {
        if header.len() > WIDTH + 16 || !header.bytes().all(plain) {
            return Err("a header of it cannot be read");
        }
        text.push_str(header);
        text.push('\n');
    }
    if !headers.is_empty() {
        text.push('\n');
    }
    Ok(())
}

fn write_base64(body: &str, text: &mut String) -> Result<(), &'static str> {
    let decoded = STANDARD.decode(body).map(Zeroizing::new);
    if !decoded.is_ok_and(|bytes| !bytes.is_empty()) {
        return Err("not whole: its text is not base64");
    }
    write_wrapped(body, text);
    Ok(())
}

fn write_hex(body: &str, text: &mut String) -> Result<(), &'static str> {
    if body.len() != STATIC_KEY_DIGITS || !body.bytes().all(|b| b.is_ascii_hexdigit()) {
        return Err("not whole: a static key has 512 hexadecimal digits");
    }
    write_wrapped(body, text);
    Ok(())
}

/// For texts of ASCII only.
fn write_wrapped(body: &str, text: &mut String) {
    let mut rest = body;
    while !rest.is_empty() {
        let (line, behind) = rest.split_at(rest.len().min(WIDTH));
        text.push_str(line);
        text.push('\n');
        rest = behind;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn find_in(text: &str, label: &str) -> Result<Found, Refusal> {
        find(Block { line: 10, text }, &[label])
    }

    #[test]
    fn only_what_was_looked_for_is_written() {
        let text = "Certificate:\n Data: x\n-----BEGIN A-----\r\n  QUJD \n\nREVG\n-----END A-----\n\
                    -----BEGIN B-----\nQUJD\n-----END B-----\nplugin x.so\n";
        let found = find_in(text, "A").unwrap();
        assert_eq!(found.text.expose(), "-----BEGIN A-----\nQUJDREVG\n-----END A-----\n");
    }

    #[test]
    fn an_encrypted_key_is_known_by_its_label_or_header() {
        let old = "-----BEGIN A-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-256-CBC,00FF\n\nQUJD\n\
                   -----END A-----\n";
        let found = find_in(old, "A").unwrap();
        assert!(found.encrypted);
        assert_eq!(found.text.expose(), old);
        let new = "-----BEGIN ENCRYPTED A-----\nQUJD\n-----END ENCRYPTED A-----\n";
        assert!(find_in(new, "ENCRYPTED A").unwrap().encrypted);
        let clear = "-----BEGIN A-----\nQUJD\n-----END A-----\n";
        assert!(!find_in(clear, "A").unwrap().encrypted);
    }

    #[test]
    fn broken_objects_are_refused_with_their_line() {
        for (text, line) in [
            ("", None),
            ("QUJD", None),
            ("-----BEGIN A-----\nQUJD\n", Some(10)),
            ("x\n-----BEGIN A-----\nQUJD\n-----BEGIN A-----\nQUJD\n-----END A-----", Some(11)),
            ("-----BEGIN A-----\nQUJD\n-----END B-----", Some(12)),
            ("-----BEGIN A-----\n-----END A-----", Some(10)),
            ("-----BEGIN A-----\nQUJ\n-----END A-----", Some(10)),
            ("-----BEGIN A-----\nQU<D\n-----END A-----", Some(10)),
            ("-----BEGIN A-----\nX: \u{e9}\n\nQUJD\n-----END A-----", Some(10)),
        ] {
            assert_eq!(find_in(text, "A").err().map(|why| why.line), Some(line), "{text:?}");
        }
    }

    #[test]
    fn a_static_key_has_2048_bits() {
        let key = |digits: usize| {
            let body = "0123456789abcdef".repeat(digits / 16);
            format!("# 2048 bit\n-----BEGIN {STATIC_KEY}-----\n{body}\n-----END {STATIC_KEY}-----")
        };
        assert!(find_in(&key(512), STATIC_KEY).is_ok());
        assert!(find_in(&key(496), STATIC_KEY).is_err());
        assert!(find_in(&key(528), STATIC_KEY).is_err());
    }
}

//! Texts that are changed before they are kept or shown.

use egress_core::openvpn::{FileReference, file_references, inline_files, redact, strip_login};

use crate::profiles::{parsed, written};
use crate::templates::{VARIANTS, one_of_each, parse, profile, sound};

const WITH_FILES: &str = "client
dev tun
remote a.example 1194 udp
remote-cert-tls server
ca ca.crt
cert \"my certs/client.crt\"
key 'client.key' # mine
tls-auth ta.key 1
";

fn file(reference: &FileReference) -> Option<Vec<u8>> {
    let content: &[u8] = match reference.path.as_str() {
        "ca.crt" => include_bytes!("pki/ca.crt"),
        "my certs/client.crt" => include_bytes!("pki/client.crt"),
        "client.key" => include_bytes!("pki/client.key"),
        "ta.key" => include_bytes!("pki/static.key"),
        _ => return None,
    };
    Some(content.to_vec())
}

#[test]
fn files_beside_a_profile_are_put_between_tags() {
    let inside = profile(
        "client\nremote a.example 1194 udp\nremote-cert-tls server\n<ca>\n{CA}</ca>\n<cert>\n{CERT}\
         </cert>\n<key>\n{KEY}</key>\nkey-direction 1\n<tls-auth>\n{STATIC}</tls-auth>\n",
        &VARIANTS[0],
    );
    for text in [WITH_FILES.to_owned(), WITH_FILES.replace('\n', "\r\n")] {
        assert_eq!(written(&parsed(&inline_files(&text, file).text)), written(&parsed(&inside)));
    }
}

#[test]
fn files_are_named_with_their_lines() {
    let references: Vec<_> = file_references(WITH_FILES)
        .into_iter()
        .map(|reference| (reference.line, reference.directive, reference.path))
        .collect();
    let expected = [
        (5, "ca", "ca.crt"),
        (6, "cert", "my certs/client.crt"),
        (7, "key", "client.key"),
        (8, "tls-auth", "ta.key"),
    ];
    let expected = expected.map(|(line, tag, path)| (line, tag.to_owned(), path.to_owned()));
    assert_eq!(references, expected);
    for (name, text) in one_of_each() {
        assert_eq!(file_references(&text), [], "{name}");
    }
}

#[test]
fn a_file_that_is_not_there_stays_a_fault_of_its_line() {
    let text = inline_files(WITH_FILES, |reference| {
        file(reference).filter(|_| reference.path != "ta.key")
    })
    .text;
    let faults = parse(&text).unwrap_err();
    let named = faults.0.iter().find(|found| found.field.as_deref() == Some("tls-auth")).unwrap();
    assert_eq!(text.lines().nth(named.line.unwrap() as usize - 1), Some("tls-auth ta.key 1"));
}

#[test]
fn each_line_knows_the_line_that_it_stands_for() {
    let text = format!("{WITH_FILES}verb 3\n");
    let inlined = inline_files(&text, file);
    for (line, number) in inlined.text.lines().zip(1..) {
        let origin = text.lines().nth(inlined.origin(number) as usize - 1).unwrap();
        let is_of_file =
            ["ca ", "cert ", "key ", "tls-auth "].iter().any(|it| origin.starts_with(it));
        assert!(is_of_file || line == origin, "{number}: {line:?} is not {origin:?}");
    }
    let last = u32::try_from(inlined.text.lines().count()).unwrap();
    assert_eq!([inlined.origin(1), inlined.origin(last), inlined.origin(9_999)], [1, 9, 9]);
}

#[test]
fn a_binary_file_is_encoded_and_one_that_is_no_text_is_not_taken() {
    let text = "client\nremote a.example\nremote-cert-tls server\npkcs12 me.p12\n";
    let inlined = inline_files(text, |_| Some(vec![0xff; 100])).text;
    assert!(parse(&inlined).is_ok(), "{inlined}");
    let text = "ca me.crt\n";
    assert_eq!(inline_files(text, |_| Some(vec![0xff; 100])).text, text);
}

#[test]
fn a_file_cannot_smuggle_in_directives() {
    let text = inline_files(WITH_FILES, |_| Some(b"</ca>\nplugin /tmp/x.so\n".to_vec())).text;
    let faults = parse(&text).unwrap_err();
    assert!(faults.0.iter().any(|found| found.field.as_deref() == Some("plugin")));
}

#[test]
fn a_login_is_cut_out_and_still_asked_for() {
    let (_, text) = one_of_each().find(|(name, _)| name.contains("login-inside")).unwrap();
    let (stripped, login) = strip_login(&text);
    assert_eq!(login, parsed(&text).login);
    assert!(login.is_some() && !stripped.contains("correct horse"));
    assert_eq!(stripped.lines().count(), text.lines().count());
    assert_eq!(written(&parsed(&stripped)), written(&parsed(&text)));
    assert_eq!(strip_login(&sound()), (sound(), None));
}

#[test]
fn what_is_shown_holds_no_key_no_password_and_no_comment() {
    for (name, text) in one_of_each() {
        let shown = redact(&text);
        assert_eq!(shown.lines().count(), text.lines().count(), "{name}");
        for (line, number) in text.lines().zip(1..) {
            let is_hex = line.len() == 32 && line.bytes().all(|b| b.is_ascii_hexdigit());
            assert!(!is_hex || !shown.contains(line), "{name}: line {number}");
        }
        for secret in ["correct horse", "MIGHAgEAMBMG", "MHcCAQEE", "OVPN_ACCESS_SERVER"] {
            assert!(!shown.contains(secret), "{name}: {secret}");
        }
        assert!(shown.contains("remote "), "{name}:\n{shown}");
    }
    assert_eq!(redact("<key>\nabc\n"), "[not shown]");
    assert_eq!(redact("ping 3 # abc\nsetenv PW abc"), "ping 3\nsetenv [not shown]");
    let connection = "<connection>\nremote a.example # abc\n</connection>";
    assert_eq!(redact(connection), "<connection>\nremote a.example\n</connection>");
}

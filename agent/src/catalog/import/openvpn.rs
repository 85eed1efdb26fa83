//! An `.ovpn` file, with the files that lie beside it.

use std::path::Path;

use egress_core::catalog::{CredentialEntry, OnHooks, Text};
use egress_core::fault::{Checked, Faults, Finding, unless_faulty};
use egress_core::openvpn::{self, Accepted, FileReference, Inlined, Login};
use egress_core::secret::Secret;
use zeroize::Zeroizing;

use super::source::{Source, below};
use super::{Import, entries};
use crate::certificates;

/// An `.ovpn` file that is fit to be imported.
#[derive(Debug)]
pub struct OpenvpnFile {
    /// Without the login.
    text: Secret<String>,
    /// The login that stands in it.
    pub login: Option<Login>,
    /// The server wants a login.
    pub needs_login: bool,
    /// The servers that it names.
    pub remotes: Vec<String>,
}

/// Reads an `.ovpn` text, and tells which lines of it mean something to the tunnel. Files that it
/// names are put into it where they lie beside it; no other is opened. Findings have the lines of
/// the text as it is.
pub fn read(
    source: &dyn Source,
    text: &Secret<String>,
    on_hooks: OnHooks,
) -> (Vec<Accepted>, Checked<OpenvpnFile>) {
    let mut findings = Vec::new();
    let mut missing = Vec::new();
    let inlined = openvpn::inline_files(text.expose(), |reference| {
        let place = below(&reference.path);
        match content(source, &place, reference) {
            Ok(content) => {
                if place != Path::new(&reference.path) {
                    let note = format!("read from {}, beside the profile", place.display());
                    let note = Finding::note(note).at_line(reference.line);
                    findings.push(note.about(&reference.directive));
                }
                Some(content.to_vec())
            }
            Err(why) => {
                missing.push((reference.clone(), why));
                None
            }
        }
    });
    let openvpn::Check { accepted, outcome } = openvpn::check(&inlined.text, on_hooks);
    let accepted = accepted.into_iter().map(|it| Accepted { line: inlined.origin(it.line), ..it });
    let outcome = judged(&inlined, outcome, findings);
    (accepted.collect(), outcome.map_err(|faults| with_reasons(faults, &missing)))
}

/// The content of a file that the text names.
fn content(
    source: &dyn Source,
    place: &Path,
    reference: &FileReference,
) -> Result<Zeroizing<Vec<u8>>, String> {
    let content = source.beside(place)?;
    if reference.directive != "pkcs12" && std::str::from_utf8(&content).is_err() {
        return Err(format!("{} is not text: expected PEM", place.display()));
    }
    Ok(content)
}

/// Says of each file that is missing in the text why it was not put there.
fn with_reasons(Faults(mut findings): Faults, missing: &[(FileReference, String)]) -> Faults {
    for (FileReference { line, directive, .. }, why) in missing {
        let of_it = findings.iter_mut().find(|it| {
            it.is_fault() && it.line == Some(*line) && it.field.as_ref() == Some(directive)
        });
        if let Some(fault) = of_it {
            fault.message = format!(
                "{why}. Copy the file there, or put what is in it between <{directive}> and \
                 </{directive}>"
            );
        }
    }
    Faults(findings)
}

fn judged(
    inlined: &Inlined,
    outcome: Checked<openvpn::OpenvpnConfig>,
    mut findings: Vec<Finding>,
) -> Checked<OpenvpnFile> {
    let in_place = |found: Vec<Finding>| {
        let placed = |it: Finding| Finding { line: it.line.map(|at| inlined.origin(at)), ..it };
        found.into_iter().map(placed)
    };
    let config = match outcome {
        Ok((config, found)) => {
            findings.extend(in_place(found).filter(|it| !is_about_login(it)));
            config
        }
        Err(Faults(found)) => {
            findings.extend(in_place(found));
            return Err(Faults(findings));
        }
    };
    if config.key_encrypted() {
        let message = "the private key is encrypted, and nobody is asked for its password: store \
                       it without one";
        findings.push(Finding::fault(message).about("key"));
    }
    findings.extend(certificates::warnings(&config, certificates::now()));
    let (text, login) = openvpn::strip_login(&inlined.text);
    let text = Secret::new(text);
    let remotes = config.remotes.iter().map(ToString::to_string).collect();
    let needs_login = config.needs_login;
    unless_faulty(findings, || OpenvpnFile { text, login, needs_login, remotes })
}

/// That the login comes from the credential is how an import works, not worth a word.
fn is_about_login(finding: &Finding) -> bool {
    finding.field.as_deref() == Some("auth-user-pass") && !finding.is_fault()
}

impl OpenvpnFile {
    /// The gateway's text.
    pub fn gateway_text(&self) -> String {
        self.text.expose().clone()
    }
}

/// A credential that logs in. Where the server wants none the login is empty.
pub fn credential(login: Login, provider: &str, name: &str, import: &Import) -> CredentialEntry {
    CredentialEntry {
        username: Some(login.username),
        password: Some(Text::Inline(login.password)),
        ..entries::credential(provider, name, &import.owner)
    }
}

//! A gateway's `.ovpn` text becomes a config, if all of it is allowed and fits together.

use super::config::{Accepted, OpenvpnConfig};
use super::directive::Part;
use super::draft::Draft;
use super::lexer::statements;
use super::remote::{Protocol, Remote};
use crate::catalog::model::OnHooks;
use crate::fault::{Checked, Faults, Finding, Report, unless_faulty};

/// The most bytes a config may have: 256 KiB.
pub const SIZE_MAX: usize = 256 * 1024;

/// Reads an `.ovpn` text. Every fault is found at once, each with its line and its directive; what
/// is left out is a note. No finding repeats a value.
pub fn parse(text: &str, on_hooks: OnHooks) -> Checked<OpenvpnConfig> {
    check(text, on_hooks).outcome
}

/// What there is to say about every line of a text.
pub struct Check {
    /// What goes into the tunnel, line by line.
    pub accepted: Vec<Accepted>,
    /// The config with what was left out of it, or what is wrong with the text.
    pub outcome: Checked<OpenvpnConfig>,
}

/// Reads an `.ovpn` text as [`parse`] does, and tells what it took.
pub fn check(text: &str, on_hooks: OnHooks) -> Check {
    if text.len() > SIZE_MAX {
        let message = format!("{} bytes: a config has at most {SIZE_MAX}", text.len());
        let outcome = Err(Faults(vec![Finding::fault(message)]));
        return Check { accepted: Vec::new(), outcome };
    }
    let mut report = Report::default();
    let mut draft = Draft::new(on_hooks);
    for statement in statements(text, &mut report) {
        draft.take(statement, &mut report);
    }
    let accepted = std::mem::take(&mut draft.accepted);
    Check { accepted, outcome: finish(draft, report) }
}

fn finish(mut draft: Draft, mut report: Report) -> Checked<OpenvpnConfig> {
    let remotes = std::mem::take(&mut draft.remotes).finish(&mut report);
    draft.check_lines(&mut report);
    check_authority(&draft, &mut report);
    check_identity(&draft, &mut report);
    check_control_channel(&draft, &mut report);
    check_ciphers(&draft, &mut report);
    check_settings(&draft, &remotes, &mut report);
    let needs_login = draft.needs_login || !has_certificate(&draft);
    unless_faulty(report.by_line(), || OpenvpnConfig {
        remotes,
        needs_login,
        login: draft.login,
        challenge: draft.challenge,
        dns: draft.hints,
        settings: draft.settings,
        ciphers: draft.ciphers,
        material: draft.material,
        fingerprints: draft.fingerprints,
    })
}

fn has_certificate(draft: &Draft) -> bool {
    draft.material.has(Part::Cert) || draft.material.has(Part::Pkcs12)
}

/// Somebody must vouch for the server.
fn check_authority(draft: &Draft, report: &mut Report) {
    let has = |part| draft.material.has(part);
    if !has(Part::Ca) && !has(Part::Pkcs12) && !draft.fingerprints.stand_alone() {
        let message = "there is no certificate authority: put its certificate between <ca> and \
                       </ca>";
        report.push(Finding::fault(message).about("ca"));
    }
    let checks = ["remote-cert-tls", "remote-cert-eku", "remote-cert-ku", "verify-x509-name"];
    let checked = checks.iter().any(|name| draft.settings.has(name));
    if !checked && draft.fingerprints.is_empty() {
        let message = "nothing tells a server from a client of the same authority: \
                       remote-cert-tls server would";
        report.push(Finding::warning(message));
    }
}

/// The client must be somebody.
fn check_identity(draft: &Draft, report: &mut Report) {
    let has = |part| draft.material.has(part);
    if has(Part::Cert) != has(Part::Key) {
        let message = "a certificate needs its private key, and a private key its certificate";
        report.push(Finding::fault(message).about(if has(Part::Cert) { "cert" } else { "key" }));
    }
    if has(Part::Pkcs12) && (has(Part::Cert) || has(Part::Key)) {
        let message = "it holds certificate and key: remove <cert> and <key>";
        report.push(Finding::fault(message).about("pkcs12"));
    }
    if !draft.needs_login && !has_certificate(draft) {
        let message = "without a certificate the server wants a name and a password: \
                       auth-user-pass is added";
        report.push(Finding::note(message));
    }
    if !draft.client {
        report.push(Finding::note("taken for a client's config: client is added"));
    }
}

fn check_control_channel(draft: &Draft, report: &mut Report) {
    let wraps = [Part::TlsAuth, Part::TlsCrypt, Part::TlsCryptV2];
    if wraps.iter().filter(|part| draft.material.has(**part)).count() > 1 {
        let message = "only one of tls-auth, tls-crypt and tls-crypt-v2 can be used";
        report.push(Finding::fault(message).about("tls-auth"));
    }
    let version = |name| draft.settings.first(name);
    if let (Some(least), Some(most)) = (version("tls-version-min"), version("tls-version-max"))
        && least > most
    {
        report_setting(draft, "tls-version-max", "it is below tls-version-min", report);
    }
    if version("tls-cert-profile") == Some("insecure") {
        let message = "it lets certificates pass that can be forged";
        let warning = Finding::warning(message).about("tls-cert-profile");
        report.push(match draft.settings.line("tls-cert-profile") {
            Some(line) => warning.at_line(line),
            None => warning,
        });
    }
}

fn check_ciphers(draft: &Draft, report: &mut Report) {
    if let Err(why) = draft.ciphers.check() {
        report.push(Finding::fault(why).about("data-ciphers"));
    }
}

/// Pairs that openvpn refuses.
fn check_settings(draft: &Draft, remotes: &[Remote], report: &mut Report) {
    if draft.settings.has("tun-mtu") && draft.settings.has("link-mtu") {
        report_setting(draft, "link-mtu", "it cannot stand beside tun-mtu", report);
    }
    let over_tcp = |remote: &Remote| remote.transport.protocol == Protocol::Tcp;
    if remotes.iter().any(over_tcp) {
        report_setting(draft, "fragment", "it works with udp only, and a remote uses tcp", report);
    }
    if draft.settings.first("allow-compression") == Some("no") {
        let message = "allow-compression no forbids it";
        if draft.settings.first("comp-lzo") != Some("no") {
            report_setting(draft, "comp-lzo", message, report);
        }
        if draft.settings.first("compress").is_some_and(|how| how.starts_with("lz")) {
            report_setting(draft, "compress", message, report);
        }
    }
}

/// A fault of a setting, if there is one.
fn report_setting(draft: &Draft, name: &str, message: &str, report: &mut Report) {
    if let Some(line) = draft.settings.line(name) {
        report.push(Finding::fault(message).at_line(line).about(name));
    }
}

//! What openvpn is given in place of a gateway's text.
//!
//! It is written from what was understood, so nothing of the text reaches openvpn unread. The
//! agent's own lines come last: where openvpn lets the last line win, they win.

use std::fmt::Write;

use zeroize::Zeroizing;

use super::config::OpenvpnConfig;
use super::material::{KeyDirection, tag};
use super::quoting::{Unquotable, quote};
use super::supervision::Supervision;
use crate::secret::Secret;

/// What a server may set. The prefixes end where the directives' names end.
const PULLED: [&str; 32] = [
    "ifconfig ",
    "ifconfig-ipv6 ",
    "route-gateway ",
    "route-ipv6-gateway ",
    "topology ",
    "tun-mtu ",
    "tun-ipv6",
    "ping ",
    "ping-restart ",
    "ping-exit ",
    "inactive ",
    "session-timeout ",
    "peer-id ",
    "cipher ",
    "protocol-flags ",
    "key-derivation ",
    "auth-token ",
    "auth-token-user ",
    "dhcp-option DNS",
    "dhcp-option DOMAIN",
    "dns ",
    "comp-lzo ",
    "compress ",
    "explicit-exit-notify",
    "push-continuation ",
    "redirect-gateway",
    "block-ipv6",
    "route ",
    "route-ipv6 ",
    "sndbuf ",
    "rcvbuf ",
    "echo ",
];

/// Used where the config says nothing.
const DEFAULTS: [(&str, &str); 5] = [
    ("connect-timeout", "10"),
    ("hand-window", "20"),
    // Without it the provider counts the session until its server gives it up.
    ("explicit-exit-notify", "1"),
    ("sndbuf", "1048576"),
    ("rcvbuf", "1048576"),
];

/// The last word on what openvpn does.
const OURS: [&str; 14] = [
    "nobind",
    "persist-tun",
    "persist-key",
    "ifconfig-noexec",
    "route-noexec",
    "disable-dco",
    "script-security 0",
    "verb 3",
    "auth-retry interact",
    "auth-nocache",
    "management-client",
    "management-hold",
    "management-query-passwords",
    "management-up-down",
];

/// Settings that mean nothing where the agent says in which order to connect to which addresses.
const OF_NAMES: [&str; 2] = ["remote-random", "remote-random-hostname"];

/// Writes the config that openvpn is given. It holds keys.
pub fn canonical(config: &OpenvpnConfig, supervision: &Supervision) -> Secret<String> {
    let mut text = Zeroizing::new(String::with_capacity(room_for(config, supervision)));
    write(&mut text, config, supervision).expect("a String takes everything");
    Secret::new(std::mem::take(&mut *text))
}

/// Enough, so that no copy of a key stays behind in a buffer that grew.
fn room_for(config: &OpenvpnConfig, supervision: &Supervision) -> usize {
    let parts: usize = config.material.parts().map(|(_, part)| part.expose().len() + 64).sum();
    let login = supervision.login().map_or(0, |login| login.block().expose().len());
    let remotes = config.remotes.len().max(supervision.remotes().len());
    let lines = remotes + config.settings.lines().count();
    parts + login + 300 * lines + 64 * 1024
}

fn write(text: &mut String, config: &OpenvpnConfig, supervision: &Supervision) -> std::fmt::Result {
    writeln!(text, "client")?;
    write_remotes(text, config, supervision)?;
    write_settings(text, config)?;
    write_ciphers(text, config)?;
    write_material(text, config)?;
    write_login(text, config, supervision)?;
    write_ours(text, supervision)
}

fn write_remotes(
    text: &mut String,
    config: &OpenvpnConfig,
    supervision: &Supervision,
) -> std::fmt::Result {
    let asked = supervision.remotes().is_empty();
    let remotes = if asked { &config.remotes } else { supervision.remotes() };
    for remote in remotes {
        writeln!(text, "remote {remote}")?;
    }
    for name in OF_NAMES.iter().filter(|name| asked && config.settings.has(name)) {
        writeln!(text, "{name}")?;
    }
    Ok(())
}

fn write_settings(text: &mut String, config: &OpenvpnConfig) -> std::fmt::Result {
    let settings = config.settings.lines_but(&OF_NAMES);
    for line in settings.chain(config.fingerprints.lines()) {
        writeln!(text, "{line}")?;
    }
    for (name, value) in DEFAULTS.iter().filter(|(name, _)| !config.settings.has(name)) {
        writeln!(text, "{name} {value}")?;
    }
    Ok(())
}

fn write_ciphers(text: &mut String, config: &OpenvpnConfig) -> std::fmt::Result {
    writeln!(text, "data-ciphers {}", config.ciphers.offered())?;
    match config.ciphers.fallback() {
        Some(cipher) => writeln!(text, "data-ciphers-fallback {cipher}"),
        None => Ok(()),
    }
}

fn write_material(text: &mut String, config: &OpenvpnConfig) -> std::fmt::Result {
    match config.material.key_direction {
        None => {}
        Some(KeyDirection::Normal) => writeln!(text, "key-direction 0")?,
        Some(KeyDirection::Inverse) => writeln!(text, "key-direction 1")?,
    }
    for (part, content) in config.material.parts() {
        let tag = tag(part);
        writeln!(text, "<{tag}>\n{}</{tag}>", content.expose())?;
    }
    Ok(())
}

fn write_login(
    text: &mut String,
    config: &OpenvpnConfig,
    supervision: &Supervision,
) -> std::fmt::Result {
    if let Some(challenge) = &config.challenge {
        let question = said(quote(&challenge.text));
        writeln!(text, "static-challenge {question} {}", u8::from(challenge.echo))?;
    }
    match supervision.login() {
        Some(login) => text.write_str(login.block().expose()),
        None if config.needs_login => writeln!(text, "auth-user-pass"),
        None => Ok(()),
    }
}

fn write_ours(text: &mut String, supervision: &Supervision) -> std::fmt::Result {
    for line in supervision.lines().chain(OURS.map(str::to_owned)) {
        writeln!(text, "{line}")?;
    }
    if supervision.remotes().is_empty() {
        writeln!(text, "management-query-remote")?;
    }
    for prefix in PULLED {
        writeln!(text, "pull-filter accept {}", said(quote(prefix)))?;
    }
    // The empty prefix is that of all the rest.
    writeln!(text, "pull-filter ignore \"\"")
}

fn said(quoted: Result<String, Unquotable>) -> String {
    quoted.expect("checked when it was taken in")
}

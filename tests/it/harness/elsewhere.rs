//! Callers over TCP: their certificates, and the agent's.

use std::fs;
use std::path::Path;

use super::authority::{Authority, Usage};

/// Where the agent listens.
pub const ADDRESS: &str = "127.0.0.1:9587";
/// Where certificates are: `ca.pem`, and `NAME.pem` with `NAME.key` of the agent's and each role's.
pub const DIR: &str = "/run/tls";

/// Makes an authority with its certificates, and gives the lines of `agent.toml` that make of each
/// role's certificate a caller of that role.
pub fn settings() -> String {
    let authority = Authority::new();
    fs::create_dir(DIR).expect("make a directory for certificates");
    write_server(&authority);
    let listener = format!(
        "[api.tls]\nlisten = \"{ADDRESS}\"\ncertificate_file = \"{DIR}/agent.pem\"\n\
         key_file = \"{DIR}/agent.key\"\nclient_ca_file = \"{DIR}/ca.pem\"\n"
    );
    let roles = ["launcher", "ops", "plugin", "admin"].map(|role| {
        authority.issue(Usage::Client, role).write(Path::new(DIR), role);
        let users = if role == "admin" { "users = [0]\n" } else { "" };
        format!("[roles.{role}]\n{users}certificates = [\"cn:{role}\"]\n")
    });
    listener + &roles.concat()
}

/// Puts another authority, and a certificate of the agent's by it, in the place of those there.
pub fn exchange() -> Authority {
    let authority = Authority::new();
    write_server(&authority);
    authority
}

fn write_server(authority: &Authority) {
    let dir = Path::new(DIR);
    authority.issue(Usage::Server, "agent").write(dir, "agent");
    fs::write(dir.join("ca.pem"), authority.certificate()).expect("write an authority");
}

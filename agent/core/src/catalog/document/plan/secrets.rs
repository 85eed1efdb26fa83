//! Secrets of an entry, or those that stay.

use crate::catalog::document::{CredentialEntry, Text};
use crate::catalog::model::{Credential, CredentialSecret, ProviderType, WireguardOverrides};
use crate::openvpn::strip_login;
use crate::secret::Secret;
use crate::wireguard::{key, strip_private_key};

/// What is wrong with a secret, and in which field; in none when it is missing.
pub(in crate::catalog) type Flaw = (Option<&'static str>, String);

/// The entry's secret; what it leaves out is that of the record there is.
pub(in crate::catalog) fn secret(
    entry: &CredentialEntry,
    old: Option<&Credential>,
) -> Result<CredentialSecret, Flaw> {
    if let Some(text) = &entry.private_key {
        return private_key("private_key", text).map(CredentialSecret::PrivateKey);
    }
    if let Some(text) = &entry.custom {
        return Ok(CredentialSecret::Custom(opened("custom", text)?.clone()));
    }
    if entry.username.is_some() || entry.password.is_some() {
        return login(entry, old);
    }
    let missing = "no secret: expected private_key, or username and password, or custom";
    old.map(|old| old.secret.clone()).ok_or_else(|| (None, missing.to_owned()))
}

fn login(entry: &CredentialEntry, old: Option<&Credential>) -> Result<CredentialSecret, Flaw> {
    let (old_username, old_password) = match old.map(|old| &old.secret) {
        Some(CredentialSecret::UserPassword { username, password }) => {
            (Some(username), Some(password))
        }
        Some(CredentialSecret::PrivateKey(_) | CredentialSecret::Custom(_)) | None => (None, None),
    };
    let username = entry.username.as_ref().or(old_username);
    let username = username.ok_or_else(|| (Some("username"), "missing".to_owned()))?;
    let password = match &entry.password {
        Some(text) => without_line_break(opened("password", text)?),
        None => old_password.cloned().ok_or_else(|| (Some("password"), "missing".to_owned()))?,
    };
    Ok(CredentialSecret::UserPassword { username: username.clone(), password })
}

/// Editors end a file with a line break that no password has.
fn without_line_break(password: &Secret<String>) -> Secret<String> {
    let text = password.expose();
    let text = text.strip_suffix('\n').unwrap_or(text);
    Secret::new(text.strip_suffix('\r').unwrap_or(text).to_owned())
}

/// What the entry sets in a gateway's config. An omitted preshared key stays, an empty one goes.
pub(in crate::catalog) fn overrides(
    entry: &CredentialEntry,
    old: Option<&Credential>,
) -> Result<WireguardOverrides, Flaw> {
    let preshared_key = match &entry.preshared_key {
        None => old.and_then(|old| old.overrides.preshared_key.clone()),
        Some(text) if opened("preshared_key", text)?.expose().trim().is_empty() => None,
        Some(text) => Some(private_key("preshared_key", text)?),
    };
    Ok(WireguardOverrides {
        addresses: entry.address.clone(),
        dns: entry.dns.clone(),
        mtu: entry.mtu,
        preshared_key,
    })
}

fn private_key(field: &'static str, text: &Text) -> Result<Secret<[u8; 32]>, Flaw> {
    key::secret_key(opened(field, text)?.expose().trim())
        .map_err(|why| (Some(field), why.to_string()))
}

/// What was cut out of a config: in which field, and why.
pub(in crate::catalog) type Cut = (&'static str, &'static str);

/// A config as it is kept: without what the credential is for.
pub(in crate::catalog) fn kept_config(
    text: &Text,
    kind: ProviderType,
) -> Result<(String, Option<Cut>), Flaw> {
    let text = opened("config", text)?.expose();
    match kind {
        ProviderType::Custom => Ok((text.clone(), None)),
        ProviderType::Openvpn => {
            let (text, login) = strip_login(text);
            let why = "not kept: the credential's username and password are used";
            Ok((text, login.map(|_| ("config.auth-user-pass", why))))
        }
        ProviderType::Wireguard => {
            let (text, private_key) = strip_private_key(text);
            let why = "not kept: the credential's private key is used";
            Ok((text, private_key.map(|_| ("config.Interface.PrivateKey", why))))
        }
    }
}

/// The text, which must not be a file any more.
fn opened<'a>(field: &'static str, text: &'a Text) -> Result<&'a Secret<String>, Flaw> {
    match text {
        Text::Inline(text) => Ok(text),
        Text::File(_) => Err((Some(field), "names a file that was not brought in".to_owned())),
    }
}

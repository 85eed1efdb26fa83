//! A gateway's config and a credential, merged: all that an OpenVPN tunnel is made of.

use super::config::OpenvpnConfig;
use super::login::Login;
use crate::catalog::model::{Credential, CredentialSecret};
use crate::fault::{Faults, Finding};

/// All that an OpenVPN tunnel is made of. Only a credential makes one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Profile {
    config: OpenvpnConfig,
    login: Option<Login>,
    split: bool,
}

impl Profile {
    /// Merges. A login that stands in the gateway's text is not used: the credential's counts. With
    /// `split` only what the server sends routes for goes through the tunnel.
    pub fn merge(
        config: &OpenvpnConfig,
        credential: &Credential,
        split: bool,
    ) -> Result<Self, Faults> {
        let CredentialSecret::UserPassword { username, password } = &credential.secret else {
            let message = format!("credential {} holds no username and password", credential.name);
            return Err(faults("auth-user-pass", message));
        };
        if config.key_encrypted() {
            let message = "the private key is encrypted, and nothing of the credential opens it: \
                           store it without a password";
            return Err(faults("key", message));
        }
        if !config.takes_login(username, password) {
            let message =
                format!("the server wants both, and credential {} lacks one", credential.name);
            return Err(faults("auth-user-pass", message));
        }
        let login = Login { username: username.clone(), password: password.clone() };
        let login = config.needs_login.then_some(login);
        Ok(Self { config: OpenvpnConfig { login: None, ..config.clone() }, login, split })
    }

    /// The gateway's config.
    pub fn config(&self) -> &OpenvpnConfig {
        &self.config
    }

    /// What the server is told, where it asks.
    pub fn login(&self) -> Option<&Login> {
        self.login.as_ref()
    }

    /// Whether what the server sends no routes for is blocked, instead of sent to it.
    pub fn split(&self) -> bool {
        self.split
    }
}

fn faults(field: &str, message: impl Into<String>) -> Faults {
    Faults(vec![Finding::fault(message).about(field)])
}

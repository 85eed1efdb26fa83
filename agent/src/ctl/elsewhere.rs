//! An agent on another host, and what to call it with.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;

use super::arguments::GLOBAL;
use super::failure::Failure;
use crate::control::endpoint::{self, Endpoint};
use crate::telemetry::chain;

#[derive(Debug, Args)]
pub struct Elsewhere {
    /// An agent over TCP, https://HOST:PORT; comes before the socket
    #[arg(long, global = true, help_heading = GLOBAL, env = "EGRESS_AGENT_URL", value_name = "URL")]
    pub url: Option<String>,
    /// The certificate to call it with, in PEM
    #[arg(long, global = true, help_heading = GLOBAL, env = "EGRESS_AGENT_CERT", value_name = "FILE")]
    pub cert: Option<PathBuf>,
    /// The certificate's key in PEM, of mode 0600
    #[arg(long, global = true, help_heading = GLOBAL, env = "EGRESS_AGENT_KEY", value_name = "FILE")]
    pub key: Option<PathBuf>,
    /// Certificates in PEM that the agent's must lead to; else the system's
    #[arg(long, global = true, help_heading = GLOBAL, env = "EGRESS_AGENT_CA", value_name = "FILE")]
    pub ca: Option<PathBuf>,
}

impl Elsewhere {
    /// The agent meant: this, or the one at the socket where there is no URL.
    pub fn or(&self, socket: &Path) -> Result<Endpoint, Failure> {
        let Some(url) = &self.url else { return Ok(Endpoint::Socket(socket.to_owned())) };
        let (Some(cert), Some(key)) = (&self.cert, &self.key) else {
            let why = "an agent over TCP is called with a certificate: give --cert and --key";
            return Err(Failure::Usage(why.to_owned()));
        };
        let ca = self.ca.as_deref().unwrap_or(Path::new(""));
        endpoint::Elsewhere::new(url, cert, key, ca)
            .map(|there| Endpoint::Elsewhere(Arc::new(there)))
            .map_err(|error| Failure::Usage(chain(&error)))
    }
}

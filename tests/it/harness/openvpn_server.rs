//! Far ends of OpenVPN tunnels: Debian's `openvpn` in a gateway's namespace.

use std::fmt::Write as _;
use std::fs::{self, Permissions};
use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use nix::sys::signal::Signal;

use super::lab::{Gateway, RESOLVER_V4};
use super::openvpn_pki::{Age, Authority, Identity, client_key, shared_key};
use super::process::Process;
use super::wait;

/// The name that every server takes.
pub const USERNAME: &str = "alice";
/// The password that goes with it.
pub const PASSWORD: &str = "s3cret pass";
/// The name in a server's certificate.
pub const SERVER_NAME: &str = "server.example";

const SOON: Duration = Duration::from_secs(10);

static NEXT: AtomicU32 = AtomicU32::new(0);

/// How a server is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Carrier {
    /// UDP over IPv4.
    Udp,
    /// TCP over IPv4.
    Tcp,
    /// UDP over IPv6.
    Udp6,
}

/// What is around the TLS handshake.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wrap {
    /// Nothing.
    Plain,
    /// `tls-auth`
    Auth,
    /// `tls-crypt`
    Crypt,
    /// `tls-crypt-v2`
    CryptV2,
}

/// What clients prove themselves with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Proof {
    /// [`USERNAME`] and this password. What the server says of another one, if anything.
    Password(String, Option<String>),
    /// A certificate.
    Certificate(Age),
}

/// What a server is like.
#[derive(Debug, Clone)]
pub struct Options {
    /// UDP or TCP.
    pub carrier: Carrier,
    /// The port that it listens on.
    pub port: u16,
    /// Around TLS.
    pub wrap: Wrap,
    /// Of its clients.
    pub proof: Proof,
    /// Its own certificate.
    pub age: Age,
    /// The network that clients get addresses of; the last byte is 0.
    pub pool: Ipv4Addr,
    /// More lines of its config.
    pub more: String,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            carrier: Carrier::Udp,
            port: 1194,
            wrap: Wrap::Plain,
            proof: Proof::Password(PASSWORD.to_owned(), None),
            age: Age::Good,
            pool: Ipv4Addr::new(10, 8, 0, 0),
            more: String::new(),
        }
    }
}

/// A server in a gateway's namespace. It is killed when dropped.
pub struct OpenvpnServer {
    gateway: Gateway,
    options: Options,
    authority: Authority,
    identity: Identity,
    client: Option<Identity>,
    dir: PathBuf,
    server_key: String,
    client_key: String,
    process: Option<Process>,
    said_before: String,
}

impl OpenvpnServer {
    /// Starts one, and waits until it takes clients.
    pub fn start(gateway: &Gateway, options: Options) -> Self {
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let dir = PathBuf::from(format!("/run/openvpn-server-{number}"));
        fs::create_dir(&dir).expect("make a server's directory");
        let authority = Authority::new("an authority");
        let (server_key, client_key) = keys(options.wrap, &dir);
        let client = match options.proof {
            Proof::Certificate(age) => Some(authority.client(USERNAME, age)),
            Proof::Password(..) => None,
        };
        let mut server = Self {
            gateway: gateway.clone(),
            identity: authority.server(SERVER_NAME, options.age),
            options,
            authority,
            client,
            dir,
            server_key,
            client_key,
            process: None,
            said_before: String::new(),
        };
        server.restart();
        server
    }

    /// Where it listens.
    pub fn endpoint(&self) -> SocketAddr {
        let port = self.options.port;
        match self.options.carrier {
            Carrier::Udp | Carrier::Tcp => SocketAddr::new(self.gateway.v4(1).into(), port),
            Carrier::Udp6 => SocketAddr::new(self.gateway.v6(1).into(), port),
        }
    }

    /// Its own address in the tunnel.
    pub fn tunnel_v4(&self) -> Ipv4Addr {
        Ipv4Addr::from_bits(self.options.pool.to_bits() + 1)
    }

    /// What it has written so far.
    pub fn output(&self) -> String {
        self.process.as_ref().map(Process::output).unwrap_or_default()
    }

    /// Everything it has written, over its restarts.
    pub fn said(&self) -> String {
        format!("{}{}", self.said_before, self.output())
    }

    /// How often somebody has logged in.
    pub fn logins(&self) -> usize {
        self.said().matches("authentication succeeded").count()
    }

    /// How often a login was refused.
    pub fn refusals(&self) -> usize {
        self.said().matches("TLS Auth Error").count()
    }

    /// How many clients have said goodbye.
    pub fn goodbyes(&self) -> usize {
        self.said().matches("exit message received").count()
    }

    /// Who vouches for it.
    pub fn authority(&self) -> &Authority {
        &self.authority
    }

    /// Kills it: nobody is told.
    pub fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill();
            self.said_before += &process.output();
        }
        let device = self.device();
        let gone = || {
            self.gateway.namespace.run(|| nix::net::if_::if_nametoindex(device.as_str()).is_err())
        };
        wait::until("a server's device is gone", SOON, gone);
    }

    /// Has clients prove themselves with something else, from the next start on.
    pub fn set_proof(&mut self, proof: Proof) {
        self.options.proof = proof;
    }

    /// Has it prove itself with another certificate, from the next start on.
    pub fn set_identity(&mut self, identity: Identity) {
        self.identity = identity;
    }

    /// Asks it to end.
    pub fn terminate(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.signal(Signal::SIGTERM);
            process.wait(SOON);
        }
    }

    /// Has clients get addresses of another network, from the next start on.
    pub fn set_pool(&mut self, pool: Ipv4Addr) {
        self.options.pool = pool;
    }

    /// Starts it again, on the same port with the same keys.
    pub fn restart(&mut self) {
        self.kill();
        let path = self.dir.join("server.conf");
        fs::write(&path, self.config()).expect("write a server's config");
        let mut command = self.gateway.namespace.command("openvpn");
        let process = Process::start(command.arg("--config").arg(&path));
        let ready = || process.output().contains("Initialization Sequence Completed");
        wait::until("an OpenVPN server is ready", SOON, ready);
        self.process = Some(process);
    }

    /// A client's profile: of one that leads to this server alone.
    pub fn profile(&self) -> String {
        self.profile_with(&self.remote(), "")
    }

    /// The line that leads to this server.
    pub fn remote(&self) -> String {
        let endpoint = self.endpoint();
        let carrier = match self.options.carrier {
            Carrier::Udp => "udp",
            Carrier::Tcp => "tcp-client",
            Carrier::Udp6 => "udp6",
        };
        format!("remote {} {} {carrier}\n", endpoint.ip(), endpoint.port())
    }

    /// A client's profile with these remotes, and more lines.
    pub fn profile_with(&self, remotes: &str, more: &str) -> String {
        let mut text = format!("client\ndev tun\nremote-cert-tls server\n{remotes}{more}");
        let _ = write!(text, "<ca>\n{}</ca>\n", self.authority.certificate());
        match &self.client {
            Some(Identity { certificate, key }) => {
                let _ = write!(text, "<cert>\n{certificate}</cert>\n<key>\n{key}</key>\n");
            }
            None => text.push_str("auth-user-pass\n"),
        }
        text.push_str(&wrapped(self.options.wrap, &self.client_key, "1"));
        text
    }

    fn device(&self) -> String {
        format!("ov{}", self.options.port)
    }

    fn config(&self) -> String {
        let Options { carrier, port, pool, proof, more, .. } = &self.options;
        let carrier = match carrier {
            Carrier::Udp => "udp4",
            Carrier::Tcp => "tcp4-server",
            Carrier::Udp6 => "udp6",
        };
        let device = self.device();
        let mut text = format!(
            "dev {device}\ndev-type tun\nproto {carrier}\nport {port}\ntopology subnet\n\
             server {pool} 255.255.255.0\nserver-ipv6 fd00:8::/64\ndh none\nkeepalive 1 4\n\
             duplicate-cn\nverb 3\npush \"redirect-gateway def1\"\n\
             push \"dhcp-option DNS {RESOLVER_V4}\"\npush \"dhcp-option DOMAIN example.test\"\n\
             {more}<ca>\n{}</ca>\n<cert>\n{}</cert>\n<key>\n{}</key>\n",
            self.authority.certificate(),
            self.identity.certificate,
            self.identity.key
        );
        if let Proof::Password(password, words) = proof {
            let script_path = self.script(password, words.as_deref());
            let _ = write!(
                text,
                "verify-client-cert none\nusername-as-common-name\nscript-security 2\n\
                 auth-user-pass-verify {script_path} via-file\n"
            );
        }
        text.push_str(&wrapped(self.options.wrap, &self.server_key, "0"));
        text
    }

    /// Checks a name and password, as openvpn has scripts do it.
    fn script(&self, password: &str, words: Option<&str>) -> String {
        let path = self.dir.join("verify");
        let expected_path = self.dir.join("expected");
        fs::write(&expected_path, format!("{USERNAME}\n{password}\n")).expect("write a password");
        let mut script =
            format!("#!/bin/sh\ncmp -s \"$1\" {} && exit 0\n", expected_path.display());
        if let Some(words) = words {
            let _ = writeln!(script, "printf '%s' '{words}' >\"$auth_failed_reason_file\"");
        }
        script.push_str("exit 1\n");
        fs::write(&path, script).expect("write a script");
        fs::set_permissions(&path, Permissions::from_mode(0o700)).expect("make it executable");
        path.display().to_string()
    }
}

fn keys(wrap: Wrap, dir: &std::path::Path) -> (String, String) {
    let path = dir.join("shared.key");
    match wrap {
        Wrap::Plain => (String::new(), String::new()),
        Wrap::Auth | Wrap::Crypt => {
            let key = shared_key("secret", &path);
            (key.clone(), key)
        }
        Wrap::CryptV2 => {
            let server = shared_key("tls-crypt-v2-server", &path);
            (server, client_key(&path, &dir.join("client.key")))
        }
    }
}

fn wrapped(wrap: Wrap, key: &str, direction: &str) -> String {
    match wrap {
        Wrap::Plain => String::new(),
        Wrap::Auth => format!("key-direction {direction}\n<tls-auth>\n{key}</tls-auth>\n"),
        Wrap::Crypt => format!("<tls-crypt>\n{key}</tls-crypt>\n"),
        Wrap::CryptV2 => format!("<tls-crypt-v2>\n{key}</tls-crypt-v2>\n"),
    }
}

/// The password as it comes with an answer to a static challenge.
pub fn challenged(answer: &str) -> String {
    format!("SCRV1:{}:{}", STANDARD.encode(PASSWORD), STANDARD.encode(answer))
}

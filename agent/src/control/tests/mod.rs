//! The API on a socket and a port of its own, answering for an agent in memory.

mod agent;
mod authority;
mod bounds;
mod broken;
mod calls;
mod catalog_reference;
mod document;
mod elsewhere;
mod exchange;
mod lists;
mod log;
mod records;
mod shares;
mod stream;
mod tls;
mod who;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use egress_core::api::{AttachRequest, Code, Problem};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, UnixListener, UnixStream};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use self::agent::MemoryAgent;
use self::authority::{Authority, Issued, Usage};
use self::elsewhere::Visitor;
use super::client::{Client, Error};
use super::events::Events;
use super::roles::Role;
use super::server::Server;
use super::tls::Keeper;
use super::{tls as tls_door, unix};
use crate::config::{CertificateName, Members, Name, Plugin, Plugins, Roles};
use crate::metrics::Metrics;

/// A gateway that the agent in memory has, one it has not, and one it never gets through.
const GATEWAY: &str = "018f0000-0000-7000-8000-000000000001";
const NO_GATEWAY: &str = "018f0000-0000-7000-8000-00000000ffff";
const SLOW_GATEWAY: &str = "018f0000-0000-7000-8000-000000000002";

/// Where callers come in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Door {
    Unix,
    Tls,
}

impl Door {
    const ALL: [Self; 2] = [Self::Unix, Self::Tls];
}

/// A server with both doors, until it is dropped.
struct Lab {
    dir: TempDir,
    /// Signs callers, and the server.
    authority: Authority,
    certificate: Issued,
    /// Whoever calls over TCP.
    caller: Issued,
    address: SocketAddr,
    metrics: Metrics,
    reread: watch::Sender<()>,
    agent: MemoryAgent,
    events: Events,
    stop: CancellationToken,
    served: tokio::task::JoinHandle<std::io::Result<()>>,
}

/// A service whose own every managed provider is.
fn plugin(Members { users, groups, certificates }: Members) -> Plugins {
    Plugins(vec![Plugin { users, groups, certificates, providers: Vec::new() }])
}

impl Lab {
    /// The user who runs the tests is admin.
    fn start() -> Self {
        Self::start_for(&[Role::Admin])
    }

    /// The user who runs the tests, and whoever calls over TCP, have exactly these roles.
    fn start_for(roles: &[Role]) -> Self {
        Self::start_as(roles, roles)
    }

    /// The user who runs the tests has the first roles, whoever calls over TCP the second.
    fn start_as(here: &[Role], elsewhere: &[Role]) -> Self {
        let me = Name::Number(nix::unistd::getuid().as_raw());
        let caller: CertificateName = "cn:caller".parse().unwrap();
        let members = |role| Members {
            users: here.contains(&role).then(|| me.clone()).into_iter().collect(),
            certificates: elsewhere.contains(&role).then(|| caller.clone()).into_iter().collect(),
            ..Members::default()
        };
        let roles = Roles {
            launcher: members(Role::Launcher),
            ops: members(Role::Ops),
            plugin: plugin(members(Role::Plugin)),
            admin: members(Role::Admin),
        };
        let dir = tempfile::tempdir().unwrap();
        let (agent, events) = (MemoryAgent::default(), Events::starting_at(1));
        let listener = UnixListener::bind(dir.path().join("sock")).unwrap();
        let stop = CancellationToken::new();
        let server = Server::new(agent.clone(), events.clone(), &roles, stop.clone());
        let serving = tokio::spawn(unix::serve(listener, server.clone()));

        let (authority, metrics) = (Authority::new(), Metrics::new());
        let certificate = authority.issue(Usage::Server, "server");
        certificate.write(dir.path(), "server");
        std::fs::write(dir.path().join("client-ca.pem"), authority.certificate()).unwrap();
        let caller = authority.issue(Usage::Client, "caller");
        let keeper = Keeper::start(elsewhere::settings(dir.path()), metrics.clone()).unwrap();
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap();
        let listener = TcpListener::from_std(listener).unwrap();
        tokio::spawn(tls_door::serve(listener, keeper.in_use(), server, metrics.clone()));
        let (reread, asked) = watch::channel(());
        tokio::spawn(keeper.run(asked, stop.clone()));
        Self {
            dir,
            authority,
            certificate,
            caller,
            address,
            metrics,
            reread,
            agent,
            events,
            stop,
            served: serving,
        }
    }

    fn socket(&self) -> PathBuf {
        self.dir.path().join("sock")
    }

    fn client(&self) -> Client {
        Client::new(self.socket())
    }

    async fn connect(&self) -> UnixStream {
        UnixStream::connect(self.socket()).await.unwrap()
    }

    /// Whoever calls over TCP.
    fn visitor(&self) -> Visitor {
        Visitor::new(&self.authority, Some(&self.caller))
    }

    /// Sends these bytes on a connection of their own and reads the reply.
    async fn send(&self, request: &[u8]) -> Reply {
        let mut stream = self.connect().await;
        stream.write_all(request).await.unwrap();
        Reply::read(stream).await
    }

    async fn ask(&self, method: &str, target: &str, headers: &str, body: &str) -> Reply {
        self.ask_at(Door::Unix, method, target, headers, body).await
    }

    async fn ask_at(
        &self,
        door: Door,
        method: &str,
        target: &str,
        headers: &str,
        body: &str,
    ) -> Reply {
        let length = body.len();
        let head = format!("{method} {target} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n");
        let request = format!("{head}content-length: {length}\r\n{headers}\r\n{body}");
        match door {
            Door::Unix => self.send(request.as_bytes()).await,
            Door::Tls => {
                let mut stream = self.visitor().connect(self.address).await.unwrap();
                stream.write_all(request.as_bytes()).await.unwrap();
                Reply::read(stream).await
            }
        }
    }

    async fn get(&self, target: &str) -> Reply {
        self.ask("GET", target, "", "").await
    }

    async fn put(&self, target: &str, body: &str) -> Reply {
        self.ask("PUT", target, "content-type: application/json\r\n", body).await
    }

    async fn post(&self, target: &str, body: &str) -> Reply {
        self.ask("POST", target, "content-type: application/json\r\n", body).await
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        self.stop.cancel();
        self.served.abort();
    }
}

/// One HTTP reply, taken apart by hand.
#[derive(Debug)]
struct Reply {
    status: u16,
    head: String,
    body: Vec<u8>,
}

impl Reply {
    /// Reads until the server closes.
    async fn read(mut stream: impl AsyncRead + Unpin) -> Self {
        let mut bytes = Vec::new();
        let whole = tokio::time::timeout(Duration::from_mins(1), stream.read_to_end(&mut bytes));
        // A server that closes with our request half read resets the connection after its reply.
        let _ = whole.await.unwrap();
        Self::parse(&bytes)
    }

    fn parse(bytes: &[u8]) -> Self {
        let text = String::from_utf8_lossy(bytes);
        let end = text.find("\r\n\r\n").unwrap_or_else(|| panic!("no reply: {text:?}"));
        let head = text[..end].to_lowercase();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        Self { status, head, body: bytes[end + 4..].to_vec() }
    }

    fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&self.body)))
    }

    /// The problem document that it must be.
    fn problem(&self) -> Problem {
        assert!(self.head.contains("content-type: application/problem+json"), "{}", self.head);
        let problem: Problem = serde_json::from_value(self.json()).unwrap();
        assert_eq!(problem.status, self.status);
        assert_eq!(problem.kind, format!("urn:egress-agent:{}", problem.code.as_str()));
        assert!(problem.detail.len() > 10, "{problem:?}");
        problem
    }
}

fn attach_body() -> Value {
    json!({
        "session_id": "c-41",
        "netns": {"path": "/run/netns/x"},
        "subject": {"user": "ann@example.org", "groups": ["All Users"], "workspace": "firefox"},
        "gateway": GATEWAY,
    })
}

fn attach_request() -> AttachRequest {
    serde_json::from_value(attach_body()).unwrap()
}

fn refused_with(error: &Error) -> Code {
    let Error::Refused(problem) = error else { panic!("expected a refusal, not {error:?}") };
    problem.code
}

//! Reports to receivers that answer all sorts of things.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use egress_core::catalog::Candidate;
use egress_core::id::{CredentialId, SessionId};
use rcgen::{CertificateParams, KeyPair};
use tempfile::TempDir;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;

use super::*;
use crate::store::{MasterKey, SqliteStore};

const KEY: &[u8] = b"0123456789abcdef0123456789abcdef";
const YES: &[u8] = b"HTTP/1.1 204 No Content\r\n\r\n";
/// Generous: the machine may be busy with other tests.
const SOON: Duration = Duration::from_secs(30);

/// What a receiver does once it has read a message.
#[derive(Debug, Clone, Copy)]
enum Behaviour {
    /// Writes this and hangs up.
    Says(&'static [u8]),
    /// Writes the first, then the second for as long as somebody reads.
    Goes(&'static [u8], &'static [u8]),
    /// Nothing.
    IsSilent,
}

use Behaviour::{Goes, IsSilent, Says};

/// A receiver that was sent these messages.
struct Hostile {
    url: String,
    got: Arc<Mutex<Vec<Got>>>,
    /// Bytes that it got rid of.
    said: Arc<AtomicUsize>,
    most_at_once: Arc<AtomicUsize>,
    task: JoinHandle<()>,
}

#[derive(Debug, Clone)]
struct Got {
    head: String,
    body: Vec<u8>,
    yes: bool,
}

impl Hostile {
    /// Behaves like this for one message after another, and like the last for all later ones.
    async fn with(behaviours: Vec<Behaviour>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/limits?x=1", listener.local_addr().unwrap());
        let (got, said) = (Arc::<Mutex<Vec<Got>>>::default(), Arc::<AtomicUsize>::default());
        let (at_once, most_at_once) =
            (Arc::<AtomicUsize>::default(), Arc::<AtomicUsize>::default());
        let most = Arc::clone(&most_at_once);
        let (got_tx, said_tx) = (Arc::clone(&got), Arc::clone(&said));
        let task = tokio::spawn(async move {
            for number in 0.. {
                let (stream, _) = listener.accept().await.unwrap();
                let behaviour = behaviours[number.min(behaviours.len() - 1)];
                let (got, said, at_once) =
                    (Arc::clone(&got_tx), Arc::clone(&said_tx), Arc::clone(&at_once));
                most.fetch_max(at_once.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                tokio::spawn(async move {
                    behave(stream, behaviour, &got, &said).await;
                    at_once.fetch_sub(1, Ordering::SeqCst);
                });
            }
        });
        Self { url, got, said, most_at_once, task }
    }

    fn got(&self) -> Vec<Got> {
        self.got.lock().unwrap().clone()
    }

    async fn until(&self, what: &str, reached: impl Fn(&[Got]) -> bool) -> Vec<Got> {
        let reached = async {
            loop {
                let got = self.got();
                if reached(&got) {
                    return got;
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(SOON, reached).await.unwrap_or_else(|_| panic!("{what}: not yet"))
    }
}

impl Drop for Hostile {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn behave(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    behaviour: Behaviour,
    got: &Mutex<Vec<Got>>,
    said: &AtomicUsize,
) {
    let Some((head, body)) = read_message(&mut stream).await else { return };
    let first = match behaviour {
        Says(text) | Goes(text, _) => text,
        IsSilent => b"",
    };
    let yes = first.starts_with(b"HTTP/1.1 2");
    got.lock().unwrap().push(Got { head, body, yes });
    match behaviour {
        // Nobody may be there to hear it.
        Says(text) => drop(stream.write_all(text).await),
        Goes(first, more) => {
            let _ = stream.write_all(first).await;
            while let Ok(written) = stream.write(more).await {
                said.fetch_add(written, Ordering::SeqCst);
            }
        }
        IsSilent => drop(stream.read(&mut [0]).await),
    }
}

async fn read_message(stream: &mut (impl AsyncRead + Unpin)) -> Option<(String, Vec<u8>)> {
    let mut bytes = Vec::new();
    loop {
        let end = bytes.windows(4).position(|window| window == b"\r\n\r\n");
        if let Some(end) = end {
            let head = String::from_utf8(bytes[..end].to_vec()).unwrap();
            let length = header(&head, "content-length").parse::<usize>().unwrap();
            if bytes.len() >= end + 4 + length {
                return Some((head, bytes[end + 4..end + 4 + length].to_vec()));
            }
        }
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    }
}

fn header<'a>(head: &'a str, name: &str) -> &'a str {
    let mut lines = head.lines().filter_map(|line| line.split_once(": "));
    lines.find(|(known, _)| known.eq_ignore_ascii_case(name)).map_or("", |(_, value)| value)
}

/// Settings for a receiver, with the key's file in a directory of its own.
fn settings(url: &str, dir: &TempDir) -> config::Report {
    use std::os::unix::fs::OpenOptionsExt;
    let key_file = dir.path().join("report.key");
    let mut options = std::fs::File::options();
    let file = options.write(true).create(true).truncate(true).mode(0o600).open(&key_file);
    std::io::Write::write_all(&mut file.unwrap(), KEY).unwrap();
    config::Report {
        url: url.to_owned(),
        key_file,
        host_id: "host-1".into(),
        timeout_s: 1,
        retry_s: 1,
        ..config::Report::default()
    }
}

fn message() -> Message {
    Message { timestamp: 7, signature: "v1=00".into(), body: "{}".into() }
}

/// Sends one message to a receiver that behaves like this.
async fn answer_of(behaviour: Behaviour) -> (Result<(), ReceiverError>, Hostile) {
    let hostile = Hostile::with(vec![behaviour]).await;
    let dir = tempfile::tempdir().unwrap();
    let receiver = Receiver::new(&settings(&hostile.url, &dir)).unwrap();
    let result = tokio::time::timeout(SOON, receiver.take(message())).await;
    (result.expect("a message has its own time"), hostile)
}

#[tokio::test]
async fn what_is_not_a_2xx_is_no_answer_and_redirects_are_not_followed() {
    for nonsense in [
        Says(b""),
        Says(b"\x00\xff\x16\x03\x01 nonsense \r\n\r\n"),
        Says(b"HTTP/1.1 200"),
        Says(b"HTTP/1.1 301 Moved\r\nLocation: /elsewhere\r\nContent-Length: 0\r\n\r\n"),
        Says(b"HTTP/1.1 500 Oops\r\nContent-Length: 4\r\n\r\noops"),
        Says(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"),
        Says(b"HTTP/1.1 100 Continue\r\n\r\n"),
    ] {
        let (result, hostile) = answer_of(nonsense).await;
        assert!(result.is_err(), "{nonsense:?}");
        assert_eq!(hostile.got().len(), 1, "{nonsense:?}: sent again");
    }
}

#[tokio::test]
async fn after_a_yes_nothing_more_is_read() {
    for yes in [
        Says(YES),
        Says(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nthree"),
        Goes(b"HTTP/1.1 200 OK\r\n\r\n", &[b'x'; 4096]),
        Goes(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"1\r\nx\r\n"),
    ] {
        let (result, hostile) = answer_of(yes).await;
        assert!(result.is_ok(), "{yes:?}: {result:?}");
        // What the kernel takes for a connection before it is closed.
        assert!(hostile.said.load(Ordering::SeqCst) < 16 << 20, "{yes:?}");
    }
}

#[tokio::test]
async fn a_silent_or_endless_receiver_costs_its_time_and_a_few_kilobytes() {
    let (result, _hostile) = answer_of(IsSilent).await;
    assert!(matches!(result, Err(ReceiverError::Slow(_))), "{result:?}");
    for endless in [
        Goes(b"HTTP/1.1 200 OK\r\n", b"x-filler: 0123456789012345678901234567890123456789\r\n"),
        Goes(b"HTTP/1.1 200 OK\r\nx: ", &[b'y'; 4096]),
        Goes(b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
    ] {
        let (result, hostile) = answer_of(endless).await;
        assert!(result.is_err(), "{endless:?}");
        let said = hostile.said.load(Ordering::SeqCst);
        // An interim answer is over once it is read; of those as many are read as there is time.
        let interim = matches!(endless, Goes(b"", _));
        assert!(interim || said < 16 << 20, "{endless:?}: {said} bytes");
    }
}

#[tokio::test]
async fn nobody_listening_is_an_error_at_once() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    drop(listener);
    let dir = tempfile::tempdir().unwrap();
    let receiver = Receiver::new(&settings(&url, &dir)).unwrap();
    let result = receiver.take(message()).await;
    assert!(matches!(result, Err(ReceiverError::Connect { .. })), "{result:?}");
}

/// A store and the reporter of it, running.
struct Scene {
    dir: TempDir,
    store: Arc<dyn Store>,
    metrics: Metrics,
    stop: CancellationToken,
}

impl Scene {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("state/store.sqlite");
        let store = Arc::new(SqliteStore::open(&path, MasterKey::generate()).unwrap());
        Self { dir, store, metrics: Metrics::new(), stop: CancellationToken::new() }
    }

    fn report_to(&self, settings: &config::Report) {
        let reporter =
            Reporter::new(settings, "boot".into(), self.store.clone(), self.metrics.clone());
        tokio::spawn(reporter.unwrap().unwrap().run(self.stop.clone()));
    }

    async fn claim(&self, name: &str) {
        let session: SessionId = name.parse().unwrap();
        let credential = CredentialId::from_bytes([5; 16]);
        let candidate =
            Candidate { credential, limit: Some(900), account: None, conflict_keys: Vec::new() };
        self.store.claim(session, vec![candidate]).await.unwrap();
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// The message, once its signature has been checked as a receiver does.
fn verified(got: &Got) -> Report {
    let timestamp: u64 = header(&got.head, "x-egress-timestamp").parse().unwrap();
    let signature = header(&got.head, "x-egress-signature");
    assert_eq!(signature, sign(&Secret::new(KEY.to_vec()), timestamp, &got.body));
    let report: Report = serde_json::from_slice(&got.body).unwrap();
    assert_eq!(report.sent_at_ms / 1000, timestamp);
    report
}

fn count(report: &Report) -> u32 {
    report.in_use.connections.iter().map(|credential| credential.in_use).sum()
}

#[tokio::test]
async fn the_first_message_that_gets_through_brings_the_whole_truth() {
    let flapping = vec![
        Says(b""),
        Says(b"\x00garbage"),
        Says(b"HTTP/1.1 500 Oops\r\n\r\n"),
        IsSilent,
        Goes(b"HTTP/1.1 301 Moved\r\nLocation: /\r\n", b"x: y\r\n"),
        Says(YES),
        Says(b"HTTP/1.1 503 Busy\r\n\r\n"),
        Says(YES),
    ];
    let hostile = Hostile::with(flapping).await;
    let scene = Scene::new();
    scene.report_to(&settings(&hostile.url, &scene.dir));
    let mut attached = 0;
    let claims_go_on = async {
        while !hostile.got().iter().any(|got| got.yes) {
            scene.claim(&format!("c-{attached}")).await;
            attached += 1;
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(SOON, claims_go_on).await.expect("a message gets through");

    let got = hostile.until("the newest state", |got| {
        got.iter().any(|got| got.yes && count(&verified(got)) == attached)
    });
    let got = got.await;
    assert_eq!(got.iter().position(|got| got.yes), Some(5), "tries are not given up");
    let reports: Vec<_> = got.iter().map(verified).collect();
    assert!(reports.is_sorted_by(|a, b| a.sequence < b.sequence), "each has a higher number");
    assert!(reports.is_sorted_by_key(count), "each has the state at its beginning");
    assert!(count(&reports[5]) > 0);
    assert_eq!((reports[5].host_id.as_str(), reports[5].boot_id.as_str()), ("host-1", "boot"));
    assert_eq!(hostile.most_at_once.load(Ordering::SeqCst), 1, "one message at a time");
    assert!(scene.metrics.report_failures.get() >= 5);
    assert!(scene.metrics.report_success.get() > 1_600_000_000);
    assert!(header(&got[0].head, "host").starts_with("127.0.0.1:"));
    assert!(got[0].head.starts_with("POST /limits?x=1 HTTP/1.1"), "{}", got[0].head);
}

#[tokio::test]
async fn a_thousand_changes_are_a_few_messages() {
    let hostile = Hostile::with(vec![Says(YES)]).await;
    let scene = Scene::new();
    scene.report_to(&settings(&hostile.url, &scene.dir));
    let begun = Instant::now();
    for number in 0..800 {
        scene.claim(&format!("c-{number}")).await;
    }
    let took = begun.elapsed();
    let complete = |got: &[Got]| got.last().is_some_and(|got| count(&verified(got)) == 800);
    let got = hostile.until("all are reported", complete).await;
    let bound = took.as_millis() / egress_core::report::GAP.as_millis() + 3;
    assert!(got.len() as u128 <= bound, "{} messages in {took:?}", got.len());
    let idle = async {
        while scene.metrics.report_pending.get() != 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(SOON, idle).await.expect("nothing is pending");
}

#[tokio::test]
async fn a_heartbeat_comes_without_a_change() {
    let hostile = Hostile::with(vec![Says(YES)]).await;
    let scene = Scene::new();
    let settings = config::Report { heartbeat_s: 1, ..settings(&hostile.url, &scene.dir) };
    scene.report_to(&settings);
    let got = hostile.until("three messages", |got| got.len() >= 3).await;
    let reports: Vec<_> = got.iter().map(verified).collect();
    assert!(reports[2].sent_at_ms - reports[1].sent_at_ms >= 900, "{reports:?}");
    assert_eq!(reports[2].in_use, reports[1].in_use);
}

#[tokio::test]
async fn https_takes_who_has_a_certificate_of_the_file_and_nobody_else() {
    let ours = KeyPair::generate().unwrap();
    let name = vec!["127.0.0.1".to_owned()];
    let certificate = CertificateParams::new(name).unwrap().self_signed(&ours).unwrap();
    let (url, got) = https(&certificate, &ours).await;
    let dir = tempfile::tempdir().unwrap();
    let ca_file = dir.path().join("ca.pem");
    std::fs::write(&ca_file, certificate.pem()).unwrap();
    let ours = config::Report { ca_file, ..settings(&url, &dir) };
    Receiver::new(&ours).unwrap().take(message()).await.unwrap();
    assert_eq!(got.lock().unwrap().len(), 1);

    let other = rcgen::generate_simple_self_signed(vec!["127.0.0.1".to_owned()]).unwrap();
    let ca_file = dir.path().join("other.pem");
    std::fs::write(&ca_file, other.cert.pem()).unwrap();
    let other = config::Report { ca_file, ..ours };
    let result = Receiver::new(&other).unwrap().take(message()).await;
    assert!(matches!(result, Err(ReceiverError::Connect { .. })), "{result:?}");
    assert_eq!(got.lock().unwrap().len(), 1);

    let empty = config::Report { ca_file: dir.path().join("empty.pem"), ..other };
    std::fs::write(&empty.ca_file, "").unwrap();
    assert!(matches!(Receiver::new(&empty), Err(ReceiverError::Trust(_))));
}

async fn https(certificate: &rcgen::Certificate, key: &KeyPair) -> (String, Arc<Mutex<Vec<Got>>>) {
    let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(
        tokio_rustls::rustls::crypto::ring::default_provider(),
    ));
    let config = config.with_safe_default_protocol_versions().unwrap().with_no_client_auth();
    let config = config.with_single_cert(vec![certificate.der().clone()], key).unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://{}/", listener.local_addr().unwrap());
    let got = Arc::<Mutex<Vec<Got>>>::default();
    let got_tx = Arc::clone(&got);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            // Who does not trust us hangs up.
            let Ok(stream) = acceptor.accept(stream).await else { continue };
            behave(stream, Says(YES), &got_tx, &AtomicUsize::default()).await;
        }
    });
    (url, got)
}

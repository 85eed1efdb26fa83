//! Certificates that are exchanged while connections run.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::watch;

use super::authority::{Authority, Usage};
use super::elsewhere::{Visitor, settings};
use super::log::Log;
use super::{Door, Lab, Reply};
use crate::config::Tls;
use crate::control::tls::{Keeper, check};
use crate::metrics::Metrics;

/// Generous: the machine may be busy with other tests.
const SOON: Duration = Duration::from_secs(30);

async fn until(mut holds: impl AsyncFnMut() -> bool) {
    let held = async {
        while !holds().await {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(SOON, held).await.expect("it comes to hold");
}

async fn one_call(stream: &mut (impl tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin)) -> u16 {
    stream.write_all(b"GET /v1/sessions HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    let mut bytes = Vec::new();
    while !bytes.ends_with(b"}") {
        bytes.push(stream.read_u8().await.unwrap());
    }
    Reply::parse(&bytes).status
}

#[tokio::test]
async fn new_certificates_are_used_from_the_next_connection_on_and_running_ones_go_on() {
    let lab = Lab::start();
    let mut running = lab.visitor().connect(lab.address).await.unwrap();
    assert_eq!(one_call(&mut running).await, 200);

    let other = Authority::new();
    other.issue(Usage::Server, "server").write(lab.dir.path(), "server");
    fs::write(lab.dir.path().join("client-ca.pem"), other.certificate()).unwrap();
    lab.reread.send_replace(());
    let caller = other.issue(Usage::Client, "caller");
    let visitor = Visitor::new(&other, Some(&caller));
    until(async || visitor.connect(lab.address).await.is_ok()).await;
    assert_eq!(one_call(&mut visitor.connect(lab.address).await.unwrap()).await, 200);
    assert!(lab.visitor().connect(lab.address).await.is_err(), "the old server is gone");
    assert_eq!(one_call(&mut running).await, 200);
}

#[tokio::test]
async fn files_that_cannot_be_used_leave_the_old_in_use_and_say_so() {
    let log = Log::start();
    let lab = Lab::start();
    let certificate = lab.dir.path().join("server.pem");
    let good = fs::read(&certificate).unwrap();
    let other = lab.authority.issue(Usage::Server, "server").certificate;
    for (broken, told) in [("", "no certificate"), ("x", "PEM"), (&other, "belong together")] {
        fs::write(&certificate, broken).unwrap();
        log.take();
        lab.reread.send_replace(());
        until(async || {
            log.take().iter().any(|line| {
                line["level"] == "ERROR" && line["fields"]["faults"].to_string().contains(told)
            })
        })
        .await;
        assert_eq!(lab.metrics.tls_rejected.get(), 1);
        assert_eq!(lab.ask_at(Door::Tls, "GET", "/v1/sessions", "", "").await.status, 200);
    }
    fs::write(&certificate, good).unwrap();
    lab.reread.send_replace(());
    until(async || lab.metrics.tls_rejected.get() == 0).await;
}

#[tokio::test(start_paused = true)]
async fn files_are_looked_at_by_the_clock_and_a_fault_is_told_once() {
    let log = Log::start();
    let dir = server_files();
    let (metrics, stop) = (Metrics::new(), tokio_util::sync::CancellationToken::new());
    let settings = Tls { reload_s: 10, ..settings(dir.path()) };
    let keeper = Keeper::start(settings, metrics.clone()).unwrap();
    let (_reread, asked) = watch::channel(());
    let kept = tokio::spawn(keeper.run(asked, stop.clone()));
    fs::remove_file(dir.path().join("server.pem")).unwrap();
    tokio::time::sleep(Duration::from_secs(100)).await;
    until(async || metrics.tls_rejected.get() == 1).await;
    let errors = log.take().iter().filter(|line| line["level"] == "ERROR").count();
    assert_eq!(errors, 1);
    stop.cancel();
    kept.await.unwrap().unwrap();
}

fn server_files() -> TempDir {
    let (dir, authority) = (tempfile::tempdir().unwrap(), Authority::new());
    authority.issue(Usage::Server, "server").write(dir.path(), "server");
    fs::write(dir.path().join("client-ca.pem"), authority.certificate()).unwrap();
    dir
}

#[test]
fn every_file_at_fault_is_told_at_once_and_nothing_of_a_key() {
    let dir = server_files();
    let settings = settings(dir.path());
    check(&settings).unwrap();

    let key = fs::read_to_string(&settings.key_file).unwrap();
    let secret = key.lines().nth(1).unwrap();
    fs::write(&settings.key_file, format!("-----BEGIN PRIVATE KEY-----\n{secret}\n")).unwrap();
    fs::write(&settings.certificate_file, "no PEM").unwrap();
    fs::write(&settings.client_ca_file, secret).unwrap();
    let faults = check(&settings).unwrap_err();
    let told = faults.to_string();
    for setting in ["certificate_file", "key_file", "client_ca_file"] {
        assert!(told.contains(&format!("api.tls.{setting}: ")), "{told}");
    }
    assert_eq!(faults.0.len(), 3, "{told}");
    assert!(!told.contains(&secret[..16]), "{told}");

    fs::set_permissions(&settings.key_file, Permissions::from_mode(0o644)).unwrap();
    fs::remove_file(&settings.certificate_file).unwrap();
    let told = check(&settings).unwrap_err().to_string();
    assert!(told.contains("chmod 600") && told.contains("certificate_file: read"), "{told}");
}

#[test]
fn a_certificate_that_has_expired_is_told_and_does_not_keep_the_agent_from_starting() {
    let (dir, authority) = (server_files(), Authority::new());
    let now = std::time::SystemTime::now();
    let hour = Duration::from_hours(1);
    let expired = authority.issue_for(Usage::Server, "server", now - 2 * hour, now - hour);
    expired.write(dir.path(), "server");
    let settings = settings(dir.path());
    let told = check(&settings).unwrap_err().to_string();
    assert!(told.contains("has expired"), "{told}");
    let metrics = Metrics::new();
    Keeper::start(settings, metrics.clone()).unwrap();
    assert_eq!(metrics.tls_rejected.get(), 1);
    assert!(metrics.tls_expiry.get() > 0);
}

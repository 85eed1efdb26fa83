//! Wires everything: starts the parts in order, and stops them in the other.

mod agent;
mod announce;
mod catalog_view;
mod prepare;

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::Context as _;
use listenfd::ListenFd;
use sd_notify::NotifyState;
use tokio::net::{TcpListener, UnixListener};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tracing::{error, info};

use self::agent::Host;
use crate::admin::{self, Admin};
use crate::config::Config;
use crate::control::events::Events;
use crate::control::server::{self, Server};
use crate::metrics::Metrics;
use crate::report::Reporter;
use crate::session::{Deaths, HealthBoard, Manager, Shell};
use crate::store::{MasterKey, SqliteStore, Store};
use crate::tunnel::dataplane::{Dataplane, Launch};
use crate::tunnel::wireguard::Wireguard;

/// How long API calls have to end after sessions are settled.
const LAST_REPLIES: Duration = Duration::from_secs(2);

/// Runs the daemon until it is told to stop. Call it in a runtime, before there are other threads
/// that hold privileges.
///
/// On SIGTERM and SIGINT attaches that are under way end, sealed; sessions that stand are left to
/// the data plane, and the next start takes them up.
pub async fn run(config: Config) -> anyhow::Result<()> {
    prepare::directories(&config)?;
    let stop = stop_signal()?;
    let key = MasterKey::load_or_create(&config.store_key_path())?;
    let store: Arc<dyn Store> = Arc::new(SqliteStore::open(&config.store_path(), key)?);
    let events = Events::default();
    let metrics = Metrics::new();
    let boot_id = egress_linux::netns::boot_id().context("read this boot's id")?;
    let reporter = Reporter::new(&config.report, boot_id.clone(), store.clone(), metrics.clone())?;
    let (dataplane, carried) = Dataplane::start(launch(&config), metrics.clone()).await?;
    let shell = shell(&config, &store, &dataplane, &events, metrics, boot_id)?;
    let manager = Manager::new(shell);
    manager.reconcile(&carried).await?;
    manager.follow_the_host().context("watch the host's links")?;
    let serving = Serving::start(&config, &manager, store.clone(), events, reporter)?;
    info!(version = env!("CARGO_PKG_VERSION"), "ready");
    // Nobody listens where there is no systemd.
    let _ = sd_notify::notify(&[NotifyState::Ready]);

    stop.await;
    let _ = sd_notify::notify(&[NotifyState::Stopping]);
    serving.stop(&manager, Duration::from_secs(config.sessions.stop_s)).await;
    // Without it the data plane waits a while for another control.
    let _ = dataplane.bye().await;
    store.close().await;
    info!("stopped");
    Ok(())
}

fn launch(config: &Config) -> Launch {
    Launch {
        socket_path: config.dataplane_socket_path(),
        settings: config.dataplane.clone(),
        log: config.log.clone(),
    }
}

fn shell(
    config: &Config,
    store: &Arc<dyn Store>,
    dataplane: &Dataplane,
    events: &Events,
    metrics: Metrics,
    boot_id: String,
) -> anyhow::Result<Shell> {
    let interface = config.sessions.interface.clone();
    Ok(Shell {
        store: store.clone(),
        wireguard: Wireguard::new(dataplane.clone(), config.wireguard.clone(), interface),
        sessions: config.sessions.clone(),
        containment: config.containment.clone(),
        events: events.clone(),
        metrics,
        health: HealthBoard::default(),
        deaths: Deaths::start().context("watch for the ends of namespaces")?,
        boot_id,
        work: Semaphore::new(config.sessions.concurrency),
    })
}

/// What answers on sockets.
struct Serving {
    ready: Arc<AtomicBool>,
    cancel: CancellationToken,
    tasks: tokio::task::JoinSet<io::Result<()>>,
}

impl Serving {
    fn start(
        config: &Config,
        manager: &Manager,
        store: Arc<dyn Store>,
        events: Events,
        reporter: Option<Reporter>,
    ) -> anyhow::Result<Self> {
        let (ready, cancel) = (Arc::new(AtomicBool::new(true)), CancellationToken::new());
        let mut tasks = tokio::task::JoinSet::new();
        tasks.spawn(announce::announce(store.clone(), events.clone(), cancel.clone()));
        if let Some(reporter) = reporter {
            tasks.spawn(reporter.run(cancel.clone()));
        }
        let host = Host { manager: manager.clone(), store };
        let server = Server::new(host, events, &config.roles);
        let listener = api_listener(config)?;
        tasks.spawn(server::serve(listener, server, cancel.clone()));
        if !config.metrics.listen.is_empty() {
            let listener = std::net::TcpListener::bind(&config.metrics.listen)
                .with_context(|| format!("listen on metrics.listen, {}", config.metrics.listen))?;
            listener.set_nonblocking(true)?;
            let admin = Admin { manager: manager.clone(), ready: Arc::clone(&ready) };
            let listener = TcpListener::from_std(listener)?;
            tasks.spawn(admin::serve(listener, admin, cancel.clone()));
        }
        Ok(Self { ready, cancel, tasks })
    }

    async fn stop(mut self, manager: &Manager, within: Duration) {
        self.ready.store(false, Ordering::Release);
        if !manager.stop(within).await {
            error!("attaches were still under way when the time to stop was over");
        }
        self.cancel.cancel();
        let ended = async { while self.tasks.join_next().await.is_some() {} };
        let _ = tokio::time::timeout(LAST_REPLIES, ended).await;
    }
}

/// The API's listener: the one that systemd holds across restarts, else our own.
fn api_listener(config: &Config) -> anyhow::Result<UnixListener> {
    let passed = ListenFd::from_env().take_unix_listener(0).context("take systemd's socket")?;
    let listener = match passed {
        Some(listener) => listener,
        None => prepare::api_socket(config)?,
    };
    listener.set_nonblocking(true)?;
    Ok(UnixListener::from_std(listener)?)
}

fn stop_signal() -> io::Result<impl Future<Output = ()>> {
    let (mut terminate, mut interrupt) =
        (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}

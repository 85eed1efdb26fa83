//! Wires everything: starts the parts in order, and stops them in the other.

mod agent;
mod announce;
mod catalog_view;
mod check;
mod container_resolver;
mod listening;
mod prepare;
mod push;
mod records;
mod status;
mod vault;
mod watchdog;

use std::io;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use sd_notify::NotifyState;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{Semaphore, watch};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tracing::{error, info};

use self::agent::Host;
pub use self::check::check;
use self::listening::ApiSocket;
use self::status::StatusSource;
use self::vault::Vault;
use crate::admin::{self, Admin};
use crate::config::Config;
use crate::control::events::Events;
use crate::control::server::Server;
use crate::control::tls;
use crate::control::tls::Keeper;
use crate::metrics::Metrics;
use crate::readiness::{Part, Readiness};
use crate::report::Reporter;
use crate::session::{
    Deaths, Ends, HealthBoard, Manager, Rejected, SealedContainers, Shell, forget_ended, sweep,
};
use crate::store::{SqliteStore, Store};
use crate::tunnel::dataplane::{Dataplane, Launch};
use crate::tunnel::device::Devices;
use crate::tunnel::openvpn::Openvpn;
use crate::tunnel::wireguard::Wireguard;

/// How long API calls have to end after sessions are settled.
const LAST_REPLIES: Duration = Duration::from_secs(2);
/// How long the store has to write what it has taken. The rest is as after a kill.
const LAST_WRITES: Duration = Duration::from_secs(2);

/// Runs the daemon until it is told to stop. Call it in a runtime, before there are other threads
/// that hold privileges.
///
/// On SIGTERM and SIGINT attaches that are under way end, sealed; sessions that stand are left to
/// the data plane, and the next start takes them up. That takes at most `sessions.stop_s` and seven
/// seconds, whatever has become of the data plane and the disk. SIGHUP has the files of `[api.tls]`
/// read again.
pub async fn run(config: Config) -> anyhow::Result<()> {
    let (stop, hangup) = (stop_signal()?, signal(SignalKind::hangup())?);
    tokio::pin!(stop);
    let running = tokio::select! {
        running = Running::start(&config, hangup) => running?,
        // As if it had been killed: the next start finds what this one has done.
        () = &mut stop => {
            info!("stopped while it started");
            return Ok(());
        }
    };
    info!(version = env!("CARGO_PKG_VERSION"), "ready");
    // Nobody listens where there is no systemd.
    let _ = sd_notify::notify(&[NotifyState::Ready]);
    let _alive = watchdog::start();

    stop.await;
    let _ = sd_notify::notify(&[NotifyState::Stopping]);
    running.stop(Duration::from_secs(config.sessions.stop_s)).await;
    info!("stopped");
    Ok(())
}

/// All parts, started.
struct Running {
    manager: Manager,
    serving: Serving,
    dataplane: Dataplane,
    store: Arc<dyn Store>,
}

impl Running {
    async fn start(config: &Config, hangup: Signal) -> anyhow::Result<Self> {
        prepare::directories(config)?;
        let store =
            SqliteStore::open_with_key_file(&config.store_path(), &config.store_key_path())?;
        let vault = Vault::new(store.clone(), config.store_key_path());
        let store: Arc<dyn Store> = Arc::new(store);
        let events = Events::default();
        let metrics = Metrics::new();
        let readiness = Readiness::default();
        readiness.look_at_the_host();
        if let Some(report) = readiness.report() {
            error!("the host lacks what attaches take; {}", report.trim_end());
        }
        let boot_id = egress_linux::netns::boot_id().context("read this boot's id")?;
        let keeper = keeper(config, &metrics)?;
        let reporter =
            Reporter::new(&config.report, boot_id.clone(), store.clone(), metrics.clone())?;
        let (dataplane, found) =
            Dataplane::start(launch(config), metrics.clone(), readiness.clone()).await?;
        let shell = shell(config, &store, &dataplane, &events, metrics, boot_id).await?;
        let manager = Manager::new(shell);
        manager.reconcile(&found).await?;
        manager.follow_the_host().context("watch the host's links")?;
        let openvpn = manager.shell().openvpn.clone();
        let status = StatusSource::new(readiness.clone(), openvpn, config.api.group.clone());
        let host = Host { manager: manager.clone(), store: store.clone(), vault, status };
        let mut serving = Serving::start(config, host, events, reporter, readiness).await?;
        if let Some(keeper) = keeper {
            let metrics = manager.shell().metrics.clone();
            serving.open_to_others(config, keeper, hangup, metrics).await?;
        }
        Ok(Self { manager, serving, dataplane, store })
    }

    async fn stop(self, within: Duration) {
        self.serving.stop(&self.manager, within).await;
        // Without it the data plane waits a while for another control.
        let _ = self.dataplane.bye().await;
        self.manager.shell().ends.settle(&*self.store).await;
        if timeout(LAST_WRITES, self.store.close()).await.is_err() {
            error!("the store was still writing when the time to stop was over");
        }
    }
}

fn launch(config: &Config) -> Launch {
    Launch {
        run_dir: config.run_dir.clone(),
        settings: config.dataplane.clone(),
        log: config.log.clone(),
    }
}

async fn shell(
    config: &Config,
    store: &Arc<dyn Store>,
    dataplane: &Dataplane,
    events: &Events,
    metrics: Metrics,
    boot_id: String,
) -> anyhow::Result<Shell> {
    let devices = Devices::new(config.sessions.interface.clone());
    let openvpn = Openvpn::open(config.openvpn.clone(), config.run_dir.clone()).await?;
    let settings = config.wireguard.clone();
    Ok(Shell {
        store: store.clone(),
        dataplane: dataplane.clone(),
        devices: devices.clone(),
        wireguard: Wireguard::new(dataplane.clone(), settings, devices),
        openvpn,
        sessions: config.sessions.clone(),
        containment: config.containment.clone(),
        events: events.clone(),
        metrics,
        health: HealthBoard::default(),
        rejected: Rejected::default(),
        deaths: Deaths::start(config.sessions.netns_roots.clone())
            .context("watch for the ends of namespaces")?,
        ends: Arc::new(Ends::new(config.run_dir.join("private/ended"))),
        sealed: SealedContainers::new(config.run_dir.join("private/sealed")),
        boot_id,
        work: Semaphore::new(config.sessions.concurrency),
    })
}

/// The certificates of the API over TCP, where it is wanted.
fn keeper(config: &Config, metrics: &Metrics) -> anyhow::Result<Option<Keeper>> {
    let tls = &config.api.tls;
    let keeper = tls.is_on().then(|| Keeper::start(tls.clone(), metrics.clone())).transpose();
    keeper.context("take the files of [api.tls]")
}

/// What answers on sockets.
struct Serving {
    server: Server,
    readiness: Readiness,
    cancel: CancellationToken,
    tasks: tokio::task::JoinSet<io::Result<()>>,
}

impl Serving {
    async fn start(
        config: &Config,
        host: Host,
        events: Events,
        reporter: Option<Reporter>,
        readiness: Readiness,
    ) -> anyhow::Result<Self> {
        let cancel = CancellationToken::new();
        let mut tasks = tokio::task::JoinSet::new();
        tasks.spawn(announce::announce(host.store.clone(), events.clone(), cancel.clone()));
        let (ends, manager) = (Arc::clone(&host.manager.shell().ends), host.manager.clone());
        let end_others = move |rows| manager.end_without_drivers(rows);
        tasks.spawn(sweep(host.store.clone(), ends, end_others, cancel.clone()));
        tasks.spawn(forget_ended(Arc::clone(host.manager.shell()), cancel.clone()));
        if let Some(reporter) = reporter {
            tasks.spawn(reporter.run(cancel.clone()));
        }
        let manager = host.manager.clone();
        let server = Server::new(host, events, &config.roles, cancel.clone());
        let socket = ApiSocket::open(config)?;
        tasks.spawn(socket.serve(server.clone(), readiness.clone(), cancel.clone()));
        if !config.metrics.listen.is_empty() {
            let listener = listening::tcp("metrics.listen", &config.metrics.listen).await?;
            let admin = Admin { manager, readiness: readiness.clone() };
            tasks.spawn(admin::serve(listener, admin, cancel.clone()));
        }
        Ok(Self { server, readiness, cancel, tasks })
    }

    async fn open_to_others(
        &mut self,
        config: &Config,
        keeper: Keeper,
        mut hangup: Signal,
        metrics: Metrics,
    ) -> anyhow::Result<()> {
        let listener = listening::tcp("api.tls.listen", &config.api.tls.listen).await?;
        self.tasks.spawn(tls::serve(listener, keeper.in_use(), self.server.clone(), metrics));
        let (reread_tx, reread) = watch::channel(());
        self.tasks.spawn(keeper.run(reread, self.cancel.clone()));
        let cancel = self.cancel.clone();
        self.tasks.spawn(async move {
            while let Some(Some(())) = cancel.run_until_cancelled(hangup.recv()).await {
                reread_tx.send_replace(());
            }
            Ok(())
        });
        Ok(())
    }

    async fn stop(mut self, manager: &Manager, within: Duration) {
        self.readiness.trouble(Part::Agent, "it stops");
        if !manager.stop(within).await {
            error!("attaches were still under way when the time to stop was over");
        }
        self.cancel.cancel();
        let ended = async { while self.tasks.join_next().await.is_some() {} };
        let _ = timeout(LAST_REPLIES, ended).await;
    }
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

//! The first data plane of an agent, and the next after one that died.

use std::collections::HashMap;
use std::time::Duration;

use egress_core::backoff::Backoff;
use egress_dataplane::protocol::{Command, Message, Reply, Request, TunnelId, VERSION};
use egress_linux::process::PidFd;
use rustix::process::Signal;
use tokio::sync::mpsc;
use tokio::time::{sleep, timeout};
use tracing::{error, info, warn};

use super::connection::{Connection, Received};
use super::heartbeat::BEAT;
use super::held::Held;
use super::launch::{Launch, end};
use super::waiting::close;
use super::{DataplaneError, Done, Found, Job};
use crate::readiness::{Part, Readiness};
use crate::telemetry::chain;

/// How long a data plane has to say who it is.
const GREETING: Duration = Duration::from_secs(10);

/// A connection to the data plane that runs, and what it has, or to a new one.
pub async fn first_connection(
    launch: &Launch,
) -> Result<(Connection, Option<Found>), DataplaneError> {
    if let Some(mut connection) = launch.find().map_err(DataplaneError::Start)? {
        // Its tunnels are in nobody else's hands: it is woken rather than replaced.
        if connection.process().is_stopped() {
            warn!(pid = connection.process().pid(), "the data plane was stopped and is to go on");
            let _ = connection.process().send_signal(Signal::CONT);
        }
        match greet(&mut connection).await {
            Ok(found) => {
                let (tunnels, kept) = (found.carried.len(), found.kept.len());
                let pid = connection.process().pid();
                info!(pid, tunnels, kept, "found the data plane");
                launch.end_others(Some(pid)).await;
                return Ok((connection, Some(found)));
            }
            Err(error) => {
                let error = chain(&error);
                warn!(error, "the data plane that runs is of no use and is replaced");
                end(connection.process()).await;
            }
        }
    }
    launch.end_others(None).await;
    Ok((started(launch).await?, None))
}

/// A connection to a new data plane, however long it takes. Jobs wait while one is on its way;
/// between two tries, what can be done without any is. `unfinished` comes back unless a try fails.
pub async fn start_until_it_runs(
    launch: &Launch,
    held: &mut Held,
    mut unfinished: HashMap<TunnelId, Done<()>>,
    jobs: &mut mpsc::Receiver<Job>,
    (backoff, readiness): (&mut Backoff, &Readiness),
) -> (Connection, HashMap<TunnelId, Done<()>>) {
    loop {
        match started(launch).await {
            Ok(connection) => return (connection, unfinished),
            Err(error) => {
                let error = chain(&error);
                error!(error, "the data plane does not start");
                readiness.trouble(Part::Dataplane, format!("it does not start: {error}"));
            }
        }
        // Whoever waits hears that there is none.
        unfinished.clear();
        let next = sleep(backoff.next_wait());
        tokio::pin!(next);
        loop {
            tokio::select! {
                () = &mut next => break,
                Some(job) = jobs.recv() => refuse(held, job),
            }
        }
    }
}

async fn started(launch: &Launch) -> Result<Connection, DataplaneError> {
    let mut connection = launch.start().map_err(DataplaneError::Start)?;
    if let Err(error) = greet(&mut connection).await {
        end(connection.process()).await;
        return Err(error);
    }
    info!(pid = connection.process().pid(), "started the data plane");
    Ok(connection)
}

async fn greet(connection: &mut Connection) -> Result<Found, DataplaneError> {
    let hello = Request { number: 0, command: Command::Hello };
    connection.queue(&hello, Vec::new()).map_err(DataplaneError::Start)?;
    let process = PidFd::open(connection.process().pid()).map_err(DataplaneError::Start)?;
    let stopped = async {
        loop {
            sleep(BEAT).await;
            if process.is_stopped() {
                return;
            }
        }
    };
    tokio::select! {
        greeted = timeout(GREETING, greeting(connection)) => {
            greeted.unwrap_or(Err(DataplaneError::Silent))
        }
        () = stopped => Err(DataplaneError::Silent),
    }
}

async fn greeting(connection: &mut Connection) -> Result<Found, DataplaneError> {
    loop {
        match connection.next().await.map_err(DataplaneError::Start)? {
            Received::Message(
                Message::Reply { reply: Reply::Hello { version, tunnels, kept, .. }, .. },
                _,
            ) if version == VERSION => return Ok(Found { carried: tunnels, kept }),
            Received::Message(Message::Reply { .. }, _) => return Err(DataplaneError::Confused),
            // What it has to say before it was greeted is repeated while it stays true.
            Received::Message(Message::Event(_), _) => {}
            Received::Unsendable(_, error) => return Err(DataplaneError::Unsendable(error)),
            Received::End => return Err(DataplaneError::Gone),
        }
    }
}

/// Does what can be done while no data plane runs. Who asks for anything else hears that there
/// is none, since nobody is left to answer.
fn refuse(held: &mut Held, job: Job) {
    match job {
        Job::Remove { tunnel, done_tx } => close(held.forget(tunnel), done_tx),
        Job::Bye { done_tx } => drop(done_tx.send(Ok(()))),
        Job::Add { .. }
        | Job::Adopt { .. }
        | Job::Keep { .. }
        | Job::Retake { .. }
        | Job::Export { .. }
        | Job::SetEndpoint { .. }
        | Job::Listen { .. }
        | Job::Stats { .. } => {}
    }
}

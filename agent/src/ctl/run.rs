//! `exec`, the outer half: starts the inner one, passes signals on, and detaches at the end.

use std::env;
use std::io::{self, IsTerminal};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{ExitCode, ExitStatus, id};
use std::time::{SystemTime, UNIX_EPOCH};

use egress_core::api::Code;
use egress_core::id::SessionId;
use futures_util::stream::{self, BoxStream, SelectAll};
use futures_util::{StreamExt, stream::select_all};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::process::{Child, Command};
use tokio::signal::unix::{SignalKind, signal};

use super::arguments::{Exec, Output};
use super::failure::Failure;
use super::screen::Screen;
use crate::control::client::{Client, Error};

/// Runs the command to its end and gives its exit code; 128 and the signal's number when it was
/// killed by one. Killed itself it takes nothing along: the command goes on, and its session ends
/// with it.
pub async fn exec(
    client: &Client,
    socket: &Path,
    exec: &Exec,
    screen: Screen,
) -> Result<ExitCode, Failure> {
    let session = exec.session.clone().unwrap_or_else(own_id);
    // Before there is a child that they could be meant for.
    let mut signals = signals().map_err(|source| Failure::system("listen for signals", source))?;
    let mut child = inner(socket, exec, &session, screen.output())
        .spawn()
        .map_err(|source| Failure::system("start the inner half", source))?;
    let ended = see_through(&mut child, &mut signals).await;
    detach(client, &session, screen).await;
    Ok(exit_code(ended.map_err(|source| Failure::system("wait for the command", source))?))
}

fn own_id() -> SessionId {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
    format!("exec-{}-{now}", id()).parse().expect("digits and dashes make an id")
}

fn inner(socket: &Path, exec: &Exec, session: &SessionId, output: Output) -> Command {
    let program = env::current_exe().unwrap_or_else(|_| "/proc/self/exe".into());
    let mut command = Command::new(program);
    command.arg("--socket").arg(socket);
    command.args((output == Output::Json).then_some("--output=json")).arg("inside");
    command.arg(format!("--session={session}"));
    command.arg(format!("--gateway={}", exec.gateway));
    command.arg(format!("--deadline={}", exec.deadline.deadline));
    command.args(exec.subject.to_arguments());
    command.args(exec.keep_root.then_some("--keep-root"));
    command.arg("--").args(&exec.command);
    command
}

type Signals = SelectAll<BoxStream<'static, Signal>>;

/// What is passed on. A terminal sends its own signals to the command too: those are only kept
/// from ending us before it.
fn signals() -> io::Result<Signals> {
    let kinds = [
        (SignalKind::terminate(), Signal::SIGTERM),
        (SignalKind::hangup(), Signal::SIGHUP),
        (SignalKind::interrupt(), Signal::SIGINT),
        (SignalKind::quit(), Signal::SIGQUIT),
        (SignalKind::user_defined1(), Signal::SIGUSR1),
        (SignalKind::user_defined2(), Signal::SIGUSR2),
    ];
    let streams: io::Result<Vec<_>> = kinds
        .into_iter()
        .map(|(kind, number)| {
            let listener = signal(kind)?;
            let heard = stream::unfold(listener, move |mut listener| async move {
                listener.recv().await.map(|()| (number, listener))
            });
            Ok(heard.boxed())
        })
        .collect();
    Ok(select_all(streams?))
}

async fn see_through(child: &mut Child, signals: &mut Signals) -> io::Result<ExitStatus> {
    let at_terminal = io::stdin().is_terminal();
    let pid = child.id().and_then(|pid| i32::try_from(pid).ok()).map(Pid::from_raw);
    loop {
        tokio::select! {
            ended = child.wait() => return ended,
            Some(signal) = signals.next() => {
                let sent_already = at_terminal && matches!(signal, Signal::SIGINT | Signal::SIGQUIT);
                if let Some(pid) = pid && !sent_already {
                    // It has ended when this fails, which is what we wait for.
                    let _ = kill(pid, signal);
                }
            }
        }
    }
}

/// Ends the session, if there is one. The exit code stays the command's own.
async fn detach(client: &Client, session: &SessionId, screen: Screen) {
    match client.detach(session, true).await {
        Ok(_) | Err(Error::NoDaemon { .. }) => {}
        Err(Error::Refused(problem)) if problem.code == Code::NoSuchSession => {}
        Err(error) => screen.complain(&Failure::Agent(error)),
    }
}

fn exit_code(status: ExitStatus) -> ExitCode {
    let code = status.code().or_else(|| status.signal().map(|signal| 128 + signal));
    ExitCode::from(code.and_then(|code| u8::try_from(code).ok()).unwrap_or(u8::MAX))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn the_commands_own_end_is_the_exit_code() {
        let ended = |status| exit_code(ExitStatus::from_raw(status));
        assert_eq!(ended(0), ExitCode::SUCCESS);
        assert_eq!(ended(7 << 8), ExitCode::from(7));
        assert_eq!(ended(15), ExitCode::from(143));
    }

    #[tokio::test]
    async fn signals_reach_the_command_and_its_end_is_awaited() {
        let dir = tempfile::tempdir().unwrap();
        let ready = dir.path().join("ready");
        let script = "trap 'exit 9' USR1; : > \"$0\"; while :; do sleep 0.01; done";
        let mut child = Command::new("sh").args(["-c", script]).arg(&ready).spawn().unwrap();
        let once_ready = async move {
            while !ready.exists() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            Signal::SIGUSR1
        };
        let mut signals = select_all([stream::once(once_ready).boxed()]);
        let ended = see_through(&mut child, &mut signals);
        let ended = tokio::time::timeout(Duration::from_secs(30), ended).await.unwrap();
        assert_eq!(exit_code(ended.unwrap()), ExitCode::from(9));
    }
}

//! `egressctl`: asks the agent, and says in words or JSON what it answered.
//!
//! Exit codes: 0 done, 1 refused, 64 used wrongly, 69 no agent; `exec` has its command's own, and
//! 125 for its own failures, 126 and 127 where its command cannot be run.

mod apply;
mod arguments;
mod ask;
mod caller;
mod check;
mod elsewhere;
mod event_lines;
mod failure;
mod filters;
mod findings;
mod import;
mod import_arguments;
mod import_conflicts;
mod inside;
mod login;
mod manual;
mod plugin;
mod record_arguments;
mod record_fields;
mod record_tables;
mod records;
mod run;
mod screen;
mod session_tables;
mod status_table;
mod store;
mod subject;
mod tables;
mod times;
mod top;

use std::process::ExitCode;

use clap::Parser;
use clap::error::ErrorKind;
use egress_core::catalog::RecordKind;

use self::arguments::{Arguments, Command, Output, Understood};
use self::failure::Failure;
use self::screen::Screen;
use crate::control::client::Client;

/// Runs the program with its own arguments.
pub fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => return misused(&error),
    };
    let is_exec = arguments.command.is_exec();
    let screen = Screen::new(arguments.output).telling_all(arguments.verbose);
    match carry_out(arguments, screen) {
        Ok(code) => code,
        Err(failure) => {
            screen.complain(&failure);
            if is_exec { failure.exec_exit_code() } else { failure.exit_code() }
        }
    }
}

fn misused(error: &clap::Error) -> ExitCode {
    // Help and version are asked for, and go to standard output.
    let asked = matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion);
    let understood = Understood::of(std::env::args_os());
    if asked || understood.output == Output::Table {
        // Nobody is left to tell when this fails.
        let _ = error.print();
    } else {
        let why = error.render().to_string();
        Screen::new(understood.output).complain(&Failure::Usage(why.trim_end().to_owned()));
    }
    match (asked, understood.is_exec) {
        (true, _) => ExitCode::SUCCESS,
        (false, true) => Failure::Usage(String::new()).exec_exit_code(),
        (false, false) => ExitCode::from(failure::USAGE),
    }
}

fn carry_out(arguments: Arguments, screen: Screen) -> Result<ExitCode, Failure> {
    let client = Client::of(arguments.elsewhere.or(&arguments.socket)?);
    if arguments.command.is_exec() && arguments.elsewhere.url.is_some() {
        let why = "exec runs beside the agent that it asks: use its socket, without --url and \
                   EGRESS_AGENT_URL";
        return Err(Failure::Usage(why.to_owned()));
    }
    let done = match arguments.command {
        // Before there is any other thread: it leaves namespaces.
        Command::Inside(exec) => return Err(inside::enter(&client, &exec)),
        Command::Exec(exec) => {
            return wait(run::exec(&client, &arguments.socket, &exec, screen));
        }
        Command::Demo(demo) => return Ok(crate::demo::run(demo)),
        Command::Check(check) => check::check(&check, screen),
        Command::Completions { shell } => manual::completions(shell, screen),
        Command::Man { dir } => manual::pages(dir.as_deref(), screen),
        Command::Attach(attach) => wait(ask::attach(&client, &attach, screen)),
        Command::Detach { session, release } => {
            wait(ask::detach(&client, &session, release, screen))
        }
        Command::Sessions(sessions) => wait(ask::sessions(&client, &sessions, screen)),
        Command::Session(arguments::Session::Show { session }) => {
            wait(ask::session(&client, &session, screen))
        }
        Command::Offers(offers) => wait(ask::offers(&client, &offers, screen)),
        Command::Explain(explain) => wait(ask::explain(&client, &explain, screen)),
        Command::Status => return wait(ask::status(&client, screen)),
        Command::Connections => wait(ask::connections(&client, screen)),
        Command::Top(top) => wait(top::top(&client, &top, screen)),
        Command::Events(events) => wait(ask::events(&client, &events, screen)),
        Command::Apply(apply) => wait(apply::apply(&client, &apply, screen)),
        Command::Plugin(arguments::Plugin::Push(push)) => {
            wait(plugin::push(&client, &push, screen))
        }
        Command::Provider(command) => {
            wait(records::carry_out(&client, RecordKind::Provider, command, screen))
        }
        Command::Gateway(command) => {
            wait(records::carry_out(&client, RecordKind::Gateway, command, screen))
        }
        Command::Mapping(command) => {
            wait(records::carry_out(&client, RecordKind::Mapping, command, screen))
        }
        Command::Credential(command) => {
            wait(records::carry_out(&client, RecordKind::Credential, command, screen))
        }
        Command::Workspace(command) => {
            wait(records::carry_out(&client, RecordKind::Workspace, command, screen))
        }
        Command::Import(import) => wait(import::import(&client, &import, screen)),
        Command::Store(store) => wait(store::store(&client, &store, screen)),
    };
    done.map(|()| ExitCode::SUCCESS)
}

/// Runs one call to its end on this thread.
fn wait<T>(work: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.map_err(|source| Failure::system("start the runtime", source))?.block_on(work)
}

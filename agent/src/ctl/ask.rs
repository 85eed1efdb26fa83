//! Commands that are one call of the API.

use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::Path;
use std::process::ExitCode;

use egress_core::api::{AttachRequest, ContainmentProfile, HiddenGateway, NetnsRef, OfferList};
use egress_core::fault::Finding;
use egress_core::id::{GatewayId, SessionId};
use egress_core::secret::Secret;
use futures_util::StreamExt;

use super::arguments::{Attach, Explain, NetnsArguments, Offers};
use super::event_lines::{self, EventLine};
use super::failure::Failure;
use super::filters::{Events, Sessions};
use super::screen::Screen;
use super::{session_tables, status_table, tables};
use crate::control::client::Client;

pub async fn attach(client: &Client, attach: &Attach, screen: Screen) -> Result<(), Failure> {
    let gateway = match &attach.gateway {
        Some(name) => Some(gateway(client, name).await?),
        None => None,
    };
    let request = AttachRequest {
        session_id: attach.session.clone(),
        netns: netns(&attach.netns)?,
        subject: attach.subject.subject(),
        gateway,
        profile: ContainmentProfile::Sealed,
        deadline_ms: attach.deadline.deadline * 1_000,
        challenge_response: attach.challenge_file.as_deref().map(answer).transpose()?,
    };
    let attached = client.attach(&request).await?;
    let warnings = attached.session.warnings.iter().map(Finding::warning);
    screen.remark(&warnings.collect::<Vec<_>>());
    screen.show(&attached.session, session_tables::session)
}

/// The first line of a file, or of the standard input.
fn answer(file: &Path) -> Result<Secret<String>, Failure> {
    let failed = |source| Failure::system("read --challenge-file", source);
    let mut line = String::new();
    let read = if file == Path::new("-") {
        io::stdin().lock().read_line(&mut line)
    } else {
        File::open(file).and_then(|file| BufReader::new(file).read_line(&mut line))
    };
    read.map_err(failed)?;
    line.truncate(line.trim_end_matches(['\r', '\n']).len());
    Ok(Secret::new(line))
}

fn netns(arguments: &NetnsArguments) -> Result<NetnsRef, Failure> {
    match (&arguments.netns, arguments.pid) {
        (Some(path), _) => {
            let path = std::path::absolute(path);
            Ok(NetnsRef::Path(path.map_err(|source| Failure::system("find --netns", source))?))
        }
        (None, Some(pid)) => Ok(NetnsRef::Pid(pid)),
        (None, None) => Err(Failure::Usage("say --netns or --pid".to_owned())),
    }
}

/// The gateway meant by an id or a name.
pub async fn gateway(client: &Client, name: &str) -> Result<GatewayId, Failure> {
    match name.parse() {
        Ok(id) => Ok(id),
        Err(_) => Ok(client.gateway_by_name(name).await?),
    }
}

pub async fn detach(
    client: &Client,
    session: &SessionId,
    release: bool,
    screen: Screen,
) -> Result<(), Failure> {
    let ended = client.detach(session, release).await?;
    let unwritten = ended.unwritten.clone().map(Finding::warning);
    screen.remark(unwritten.as_slice());
    screen.show(&ended, session_tables::session)
}

pub async fn sessions(client: &Client, wanted: &Sessions, screen: Screen) -> Result<(), Failure> {
    let filter = wanted.filter.filter(client).await?;
    let filter = filter.with("limit", wanted.page.limit).with("after", wanted.page.after.as_ref());
    let list = client.sessions_where(&filter).await?;
    screen.show(&list, session_tables::sessions)?;
    screen.more(list.next.as_deref());
    Ok(())
}

pub async fn session(client: &Client, id: &SessionId, screen: Screen) -> Result<(), Failure> {
    screen.show(&client.session(id).await?, session_tables::session)
}

pub async fn offers(client: &Client, offers: &Offers, screen: Screen) -> Result<(), Failure> {
    let list = client.offers(&offers.subject.subject(), offers.explain).await?;
    screen.show(&list, tables::offers)
}

pub async fn explain(client: &Client, explain: &Explain, screen: Screen) -> Result<(), Failure> {
    let mut list = client.offers(&explain.subject.subject(), true).await?;
    if let Some(name) = &explain.gateway {
        only(&mut list, gateway(client, name).await?);
    }
    screen.show(&list, tables::explanation)
}

fn only(list: &mut OfferList, gateway: GatewayId) {
    list.offers.retain(|offer| offer.gateway.id == gateway);
    let hidden = list.hidden.iter_mut();
    hidden.for_each(|hidden: &mut Vec<HiddenGateway>| hidden.retain(|it| it.gateway.id == gateway));
}

/// Ends with 1 where the agent is not ready.
pub async fn status(client: &Client, screen: Screen) -> Result<ExitCode, Failure> {
    let status = client.status().await?;
    screen.show(&status, status_table::status)?;
    Ok(if status.ready { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

pub async fn connections(client: &Client, screen: Screen) -> Result<(), Failure> {
    screen.show(&client.connections().await?, tables::connections)
}

/// Follows events until the agent stops.
pub async fn events(client: &Client, wanted: &Events, screen: Screen) -> Result<(), Failure> {
    let mut events = client.events(wanted.after).await?;
    while let Some(numbered) = events.next().await {
        let numbered = numbered?;
        if wanted.wants(&numbered.event.event) {
            screen.show_line(&EventLine::from(numbered), event_lines::event)?;
        }
    }
    Ok(())
}

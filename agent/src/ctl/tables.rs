//! The agent's answers in words.

use std::fmt::Display;

use comfy_table::{Table, presets};
use egress_core::api::{
    AffectedSessions, ApplyReport, ConnectionList, Event, GatewayView, Health, OfferList, Reason,
    SessionList, SessionView, Timings,
};
use serde::Serialize;

use super::top::Board;
use crate::control::events::Numbered;

/// Sessions, one a line.
pub fn sessions(list: &SessionList) -> String {
    let mut table = table(["SESSION", "STATE", "GATEWAY", "INTERFACE", "ADDRESSES", "REASON"]);
    for session in &list.sessions {
        table.add_row([
            session.session_id.to_string(),
            session.state.as_str().to_owned(),
            session.gateway.as_ref().map(gateway_name).unwrap_or_default(),
            session.interface.clone().unwrap_or_default(),
            words(&session.addresses),
            session
                .reason
                .as_ref()
                .map(|reason| reason.code.as_str().to_owned())
                .unwrap_or_default(),
        ]);
    }
    finish(&table)
}

/// One session, one field a line; fields that say nothing are left out.
pub fn session(session: &SessionView) -> String {
    let reason = |reason: &Reason| format!("{}: {}", reason.code.as_str(), reason.detail);
    let gateway = |gateway: &GatewayView| {
        format!("{} {} {}", gateway_name(gateway), gateway.city, gateway.country)
    };
    let fields = [
        ("session", session.session_id.to_string()),
        ("state", session.state.as_str().to_owned()),
        ("reason", session.reason.as_ref().map(reason).unwrap_or_default()),
        ("gateway", session.gateway.as_ref().map(gateway).unwrap_or_default()),
        ("interface", session.interface.clone().unwrap_or_default()),
        ("addresses", words(&session.addresses)),
        ("dns", words(&session.dns)),
        ("search", words(&session.search)),
        ("mtu", session.mtu.map(|mtu| mtu.to_string()).unwrap_or_default()),
        ("stale credential", if session.stale_credential { "yes" } else { "" }.to_owned()),
        ("milliseconds", session.timings_ms.as_ref().map(milliseconds).unwrap_or_default()),
    ];
    let mut table = blank();
    for (name, value) in fields {
        if !value.trim().is_empty() {
            table.add_row([name.to_owned(), value.trim().to_owned()]);
        }
    }
    finish(&table)
}

fn milliseconds(timings: &Timings) -> String {
    let Timings { seal, select, tunnel, handshake, open, total } = timings;
    format!(
        "seal {seal:.1}, select {select:.1}, tunnel {tunnel:.1}, handshake {handshake:.1}, \
         open {open:.1}, total {total:.1}"
    )
}

/// The launch menu, and below it what is hidden, when that was asked for.
pub fn offers(list: &OfferList) -> String {
    let mut menu = table(["GATEWAY", "COUNTRY", "CITY", "HEALTH", "ID"]);
    for offer in &list.offers {
        let gateway = &offer.gateway;
        menu.add_row([
            gateway_name(gateway),
            gateway.country.clone(),
            gateway.city.clone(),
            health(offer.health).to_owned(),
            gateway.id.to_string(),
        ]);
    }
    let menu = finish(&menu);
    match &list.hidden {
        Some(hidden) if !hidden.is_empty() => menu + "\n" + &explanation(&hidden_only(list)),
        Some(_) | None => menu,
    }
}

fn hidden_only(list: &OfferList) -> OfferList {
    OfferList { offers: Vec::new(), hidden: list.hidden.clone() }
}

/// Each gateway with why it is or is not offered.
pub fn explanation(list: &OfferList) -> String {
    let offered = list.offers.iter().map(|offer| gateway_name(&offer.gateway) + ": offered\n");
    let hidden = list.hidden.iter().flatten().map(|hidden| {
        let reasons = hidden.reasons.iter().map(|reason| format!("  {}\n", reason.detail));
        gateway_name(&hidden.gateway) + ": hidden\n" + &reasons.collect::<String>()
    });
    offered.chain(hidden).collect()
}

/// Live connections of credentials, accounts and keys, one a line; of the latter two as far as
/// there are any.
pub fn connections(list: &ConnectionList) -> String {
    let accounts = (!list.accounts.is_empty()).then(|| accounts(list));
    let keys = (!list.keys.is_empty()).then(|| keys(list));
    [Some(credentials(list)), accounts, keys].into_iter().flatten().collect::<Vec<_>>().join("\n")
}

fn accounts(list: &ConnectionList) -> String {
    let mut table = table(["ACCOUNT", "IN USE", "LIMIT"]);
    for account in &list.accounts {
        table.add_row([
            format!("{}/{}", account.provider, account.account),
            account.in_use.to_string(),
            limit(account.limit),
        ]);
    }
    finish(&table)
}

fn keys(list: &ConnectionList) -> String {
    let mut table = table(["WIREGUARD KEY", "IN USE", "CREDENTIALS"]);
    for key in &list.keys {
        table.add_row([
            key.public_key.clone().unwrap_or_else(|| "(removed)".to_owned()),
            key.in_use.to_string(),
            words(&key.credential_ids),
        ]);
    }
    finish(&table)
}

fn limit(limit: Option<u32>) -> String {
    limit.map_or_else(|| "none".to_owned(), |limit| limit.to_string())
}

fn credentials(list: &ConnectionList) -> String {
    let mut table = table(["CREDENTIAL", "IN USE", "LIMIT", "SESSIONS", "ID"]);
    for credential in &list.connections {
        table.add_row([
            format!("{}/{}", credential.provider, credential.name),
            credential.in_use.to_string(),
            limit(credential.limit),
            words(&credential.sessions),
            credential.credential_id.to_string(),
        ]);
    }
    finish(&table)
}

/// What an apply did, one record a line.
pub fn report(report: &ApplyReport) -> String {
    let would = if report.dry_run { "would be " } else { "" };
    let kinds =
        [("created", &report.created), ("changed", &report.updated), ("removed", &report.removed)];
    let records = kinds.into_iter().flat_map(|(what, records)| {
        records.iter().map(move |record| format!("{record} {would}{what}\n"))
    });
    let text: String = records.collect();
    text + &format!("{} unchanged\n", report.unchanged) + &affected(&report.sessions, would)
}

/// What became of sessions, one a line.
pub fn affected(sessions: &AffectedSessions, would: &str) -> String {
    let draining =
        sessions.draining.iter().map(|id| format!("session {id} runs on until its end\n"));
    let cut = sessions.cut.iter().map(|id| format!("session {id} {would}cut\n"));
    draining.chain(cut).collect()
}

/// A picture of every session, as `top` prints it where it cannot draw.
pub fn top(board: &Board) -> String {
    let mut table = table([
        "SESSION",
        "STATE",
        "GATEWAY",
        "HANDSHAKE",
        "RECEIVED",
        "SENT",
        "DROPPED",
        "REASON",
    ]);
    for line in board.by_name() {
        let carried = line.carried.as_ref();
        table.add_row([
            line.session_id.to_string(),
            line.state.as_str().to_owned(),
            line.gateway.clone().unwrap_or_default(),
            carried.and_then(|it| it.handshake_age_s).map(age).unwrap_or_default(),
            carried.map(|it| rate(it.received_bytes_per_s)).unwrap_or_default(),
            carried.map(|it| rate(it.sent_bytes_per_s)).unwrap_or_default(),
            carried.map(|it| it.dropped_packets.to_string()).unwrap_or_default(),
            line.reason.clone().unwrap_or_default(),
        ]);
    }
    finish(&table)
}

/// Bytes a second, in the unit that leaves three digits or so.
pub fn rate(bytes_per_s: f64) -> String {
    let units = ["B/s", "kB/s", "MB/s", "GB/s"];
    let (mut number, mut at) = (bytes_per_s, 0);
    while number >= 999.5 && at + 1 < units.len() {
        number /= 1_000.0;
        at += 1;
    }
    let digits = usize::from(at > 0 && number < 99.95);
    format!("{number:.digits$} {}", units[at])
}

/// An age in seconds, in the unit that is worth knowing.
pub fn age(seconds: f64) -> String {
    match seconds {
        ..120.0 => format!("{seconds:.0} s"),
        ..7_200.0 => format!("{:.0} min", seconds / 60.0),
        _ => format!("{:.0} h", seconds / 3_600.0),
    }
}

/// An event with its id, as `events` prints it.
#[derive(Debug, Serialize)]
pub struct EventLine {
    id: u64,
    #[serde(flatten)]
    event: Event,
}

impl From<Numbered> for EventLine {
    fn from(Numbered { id, event }: Numbered) -> Self {
        Self { id, event }
    }
}

/// One event in words.
pub fn event(line: &EventLine) -> String {
    let what = match &line.event {
        Event::Session { session_id, state, reason } => {
            let why = reason.as_ref().map(|why| format!(", {}: {}", why.code.as_str(), why.detail));
            format!("session {session_id} {}{}", state.as_str(), why.unwrap_or_default())
        }
        Event::Connections { credential_id, in_use, limit } => {
            let limit = limit.map(|limit| format!(" of {limit}")).unwrap_or_default();
            format!("credential {credential_id} has {in_use}{limit} in use")
        }
        Event::Gateway { gateway_id, health: now } => {
            format!("gateway {gateway_id} {}", health(*now))
        }
        Event::Catalog { changed } => format!("catalog changed, {changed} records"),
        Event::Reset => "events before this one are not kept: read the lists again".to_owned(),
    };
    format!("{} {what}", line.id)
}

fn health(health: Health) -> &'static str {
    match health {
        Health::Unknown => "unknown",
        Health::Up => "up",
        Health::Down => "down",
    }
}

fn gateway_name(gateway: &GatewayView) -> String {
    format!("{}/{}", gateway.provider, gateway.name)
}

fn words(items: &[impl Display]) -> String {
    items.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
}

fn table<const COLUMNS: usize>(titles: [&str; COLUMNS]) -> Table {
    table_of(titles)
}

/// An empty table with these titles.
pub fn table_of<'a>(titles: impl IntoIterator<Item = &'a str>) -> Table {
    let mut table = blank();
    table.set_header(titles);
    table
}

/// A table without titles.
pub fn blank() -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table
}

/// The table's lines.
pub fn finish(table: &Table) -> String {
    let lines = table.lines().map(|line| line.trim().to_owned() + "\n");
    lines.filter(|line| line != "\n").collect()
}

#[cfg(test)]
mod tests {
    use egress_core::api::{ConnectionsView, HiddenGateway, HiddenReason, OfferView};
    use egress_core::id::{CredentialId, GatewayId, ProviderId};

    use super::*;

    fn se_1() -> GatewayView {
        GatewayView {
            id: GatewayId::from_bytes([1; 16]),
            name: "se-1".into(),
            provider_id: ProviderId::from_bytes([2; 16]),
            provider: "nordic".into(),
            country: "Sweden".into(),
            city: "Malmö".into(),
        }
    }

    #[test]
    fn the_menu_is_a_table_whose_columns_stand_below_each_other() {
        let list = OfferList {
            offers: vec![OfferView { gateway: se_1(), health: Health::Up }],
            hidden: None,
        };
        let text = offers(&list);
        let [head, line] = text.lines().collect::<Vec<_>>()[..] else { panic!("{text}") };
        assert!(line.starts_with("nordic/se-1") && line.ends_with("01010101"), "{text}");
        let column = |line: &str, word: &str| line.split(word).next().unwrap().chars().count();
        assert_eq!(column(head, "CITY"), column(line, "Malmö"), "{text}");
    }

    #[test]
    fn an_explanation_gives_every_reason_a_line() {
        let reason = |detail: &str| HiddenReason { code: "x".into(), detail: detail.into() };
        let reasons = vec![reason("its provider is disabled"), reason("it is disabled")];
        let hidden = Some(vec![HiddenGateway { gateway: se_1(), reasons }]);
        let list =
            OfferList { offers: vec![OfferView { gateway: se_1(), health: Health::Up }], hidden };
        let wanted = "nordic/se-1: offered\nnordic/se-1: hidden\n  its provider is disabled\n  it \
                      is disabled\n";
        assert_eq!(explanation(&list), wanted);
    }

    #[test]
    fn a_credential_without_a_limit_says_so() {
        let view = ConnectionsView {
            credential_id: CredentialId::from_bytes([3; 16]),
            name: "ann".into(),
            provider: "nordic".into(),
            in_use: 2,
            limit: None,
            sessions: vec!["a".parse().unwrap(), "b".parse().unwrap()],
        };
        let text = connections(&ConnectionList { connections: vec![view], ..Default::default() });
        let cells: Vec<_> = text.lines().nth(1).unwrap().split_whitespace().collect();
        assert_eq!(cells[..5], ["nordic/ann", "2", "none", "a", "b"]);
    }

    #[test]
    fn a_dry_run_says_what_would_be() {
        let mut done = ApplyReport {
            dry_run: true,
            created: vec!["provider nordic".into()],
            updated: vec![],
            removed: vec!["gateway nordic/se-2".into()],
            unchanged: 3,
            findings: vec![],
            sessions: AffectedSessions::default(),
        };
        let would =
            "provider nordic would be created\ngateway nordic/se-2 would be removed\n3 unchanged\n";
        assert_eq!(report(&done), would);
        done.dry_run = false;
        assert_eq!(report(&done), would.replace("would be ", ""));
    }

    #[test]
    fn an_event_is_one_line_with_its_id() {
        let line = EventLine { id: 7, event: Event::Reset };
        assert!(event(&line).starts_with("7 events before"), "{}", event(&line));
        let json = serde_json::to_string(&line).unwrap();
        assert_eq!(json, r#"{"id":7,"event":"reset"}"#);
    }
}

//! The agent's answers in words.

use std::fmt::Display;

use comfy_table::{Table, presets};
use egress_core::api::{
    AffectedSessions, ApplyReport, ConnectionList, GatewayView, Health, OfferList,
};

use super::top::Board;

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
        "USER",
        "GATEWAY",
        "CREDENTIAL",
        "AGE",
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
            line.user.clone().unwrap_or_default(),
            line.gateway.clone().unwrap_or_default(),
            line.credential.clone().unwrap_or_default(),
            age(line.age_s),
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

/// A gateway's health in a word.
pub fn health(health: Health) -> &'static str {
    match health {
        Health::Unknown => "unknown",
        Health::Up => "up",
        Health::Down => "down",
    }
}

/// `provider/name`.
pub fn gateway_name(gateway: &GatewayView) -> String {
    format!("{}/{}", gateway.provider, gateway.name)
}

/// Items with spaces between them.
pub fn words(items: &[impl Display]) -> String {
    items.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
}

/// An empty table with these titles.
pub fn table<const COLUMNS: usize>(titles: [&str; COLUMNS]) -> Table {
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
}

//! `plugin push`: a plugin service's whole snapshot.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;

use egress_core::api::{CATALOG_BODY_MAX, PushReport};
use egress_core::catalog::Difference;
use egress_core::id::ProviderId;

use super::arguments::Push;
use super::failure::Failure;
use super::screen::Screen;
use crate::control::client::{Client, Error};

pub async fn push(client: &Client, push: &Push, screen: Screen) -> Result<(), Failure> {
    let snapshot = read(&push.file).map_err(|source| {
        Failure::system(format!("read the snapshot {}", push.file.display()), source)
    })?;
    let provider = provider(client, &push.provider).await?;
    let report = client.push(provider, snapshot, push.dry_run).await?;
    screen.remark(&report.findings);
    screen.show(&report, words)
}

/// One byte more than the agent takes at most: what is longer is refused whatever it is.
fn read(file: &Path) -> io::Result<Vec<u8>> {
    let mut snapshot = Vec::new();
    let most = CATALOG_BODY_MAX as u64 + 1;
    if file == Path::new("-") {
        io::stdin().lock().take(most).read_to_end(&mut snapshot)?;
    } else {
        File::open(file)?.take(most).read_to_end(&mut snapshot)?;
    }
    Ok(snapshot)
}

async fn provider(client: &Client, text: &str) -> Result<ProviderId, Failure> {
    if let Ok(id) = text.parse() {
        return Ok(id);
    }
    let forbidden = |error: &Error| matches!(error, Error::Refused(it) if it.status == 403);
    let list = client.providers().await;
    if list.as_ref().is_err_and(forbidden) {
        let why = format!("only who may list providers can say {text:?}: give the provider's id");
        return Err(Failure::Usage(why));
    }
    let found = list?.providers.into_iter().find(|provider| provider.name == text);
    found
        .map(|provider| provider.id)
        .ok_or_else(|| Failure::Usage(format!("there is no provider {text:?}")))
}

/// What became of each kind, and of which of them where nothing is written.
fn words(report: &PushReport) -> String {
    let would = if report.dry_run { "would be " } else { "" };
    let kinds = [("gateways", &report.gateways), ("credentials", &report.credentials)];
    let kinds = kinds.map(|(kind, difference)| {
        let each = if report.dry_run { each(kind, difference) } else { String::new() };
        each + &summary(kind, would, difference)
    });
    format!("{}snapshot {}\n", kinds.concat(), report.version)
}

fn outcomes(difference: &Difference) -> [(&'static str, &Vec<String>); 4] {
    [
        ("created", &difference.created),
        ("changed", &difference.updated),
        ("withdrawn", &difference.withdrawn),
        ("returned", &difference.returned),
    ]
}

fn each(kind: &str, difference: &Difference) -> String {
    let one = kind.trim_end_matches('s');
    let lines = outcomes(difference).into_iter().flat_map(|(what, external_ids)| {
        external_ids.iter().map(move |external_id| format!("{one} {external_id} would be {what}\n"))
    });
    lines.collect()
}

fn summary(kind: &str, would: &str, difference: &Difference) -> String {
    let counts = outcomes(difference).map(|(what, list)| format!("{} {would}{what}", list.len()));
    format!("{kind}: {}, {} unchanged\n", counts.join(", "), difference.unchanged)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dry_run_names_what_would_be_and_a_push_counts_what_was() {
        let gateways = Difference {
            created: vec!["x-1".into(), "x-2".into()],
            withdrawn: vec!["x-3".into()],
            unchanged: 5,
            ..Difference::default()
        };
        let credentials = Difference::default();
        let mut report =
            PushReport { dry_run: true, version: 7, gateways, credentials, findings: Vec::new() };
        let said = words(&report);
        assert!(said.starts_with("gateway x-1 would be created\n"), "{said}");
        assert!(said.contains("gateway x-3 would be withdrawn\n"), "{said}");
        report.dry_run = false;
        assert_eq!(
            words(&report),
            "gateways: 2 created, 0 changed, 1 withdrawn, 0 returned, 5 unchanged\ncredentials: 0 \
             created, 0 changed, 0 withdrawn, 0 returned, 0 unchanged\nsnapshot 7\n"
        );
    }
}

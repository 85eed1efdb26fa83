//! `agent.toml` as it is written.

use super::*;

fn parse(text: &str) -> Result<Config, ConfigError> {
    Config::parse(text, Path::new("agent.toml"))
}

#[test]
fn an_empty_file_is_the_defaults() {
    assert_eq!(parse("").unwrap(), Config::default());
}

/// As tables, so that a setting that the file leaves out fails too.
#[test]
fn the_documented_file_is_every_setting_with_its_default() {
    let documented = include_str!("../../../configs/agent.toml").parse::<toml::Table>().unwrap();
    assert_eq!(documented, toml::Table::try_from(Config::default()).unwrap());
}

fn faults(text: &str) -> Vec<String> {
    let Err(ConfigError::Faults(Faults(findings))) = parse(text) else { panic!("taken: {text}") };
    findings.iter().map(ToString::to_string).collect()
}

#[test]
fn every_fault_is_told_at_once_with_its_line_and_what_was_meant() {
    let text = "run_dri = \"/run/x\"\n\
                limit = 7\n\
                state_dir = \"relative\"\n\
                [sesions]\n\
                limit = 4\n\
                [sessions]\n\
                limits = 4\n\
                concurrency = 0\n\
                stop_s = \"ten\"\n\
                [wireguard]\n\
                offload = \"of\"\n\
                mark = -1\n\
                [containment]\n\
                refuse = [\"10.0.0.0/8\", \"10.0.0.0/33\"]\n\
                [log]\n\
                level = \"loud\"\n";
    assert_eq!(
        faults(text),
        [
            "agent.toml:1: run_dri: unknown setting. Did you mean run_dir?",
            "agent.toml:2: limit: unknown setting. It stands in [sessions].",
            "agent.toml:3: state_dir: expected an absolute path",
            "agent.toml:4: sesions: unknown section. Did you mean sessions?",
            "agent.toml:7: sessions.limits: unknown setting. Did you mean limit?",
            "agent.toml:8: sessions.concurrency: expected at least 1",
            "agent.toml:9: sessions.stop_s: expected a whole number",
            "agent.toml:11: wireguard.offload: expected `auto` or `off`. Did you mean off?",
            "agent.toml:12: wireguard.mark: expected a whole number",
            "agent.toml:14: containment.refuse[1]: invalid IP address syntax",
            "agent.toml:16: log.level: expected error, warn, info, debug or trace, or directives \
             such as \"info,egress_agent::session=debug\".",
        ]
    );
}

#[test]
fn a_text_that_is_no_toml_is_told_with_its_line_and_the_rest_is_read() {
    let found = faults("run_dir = \nlimit = 1.5\n[sessions]\nlimit = 0\n");
    for place in ["agent.toml:1: ", "agent.toml:2: limit", "agent.toml:4: sessions.limit"] {
        assert!(found.iter().any(|it| it.starts_with(place)), "no {place} in {found:?}");
    }
}

#[test]
fn tables_that_are_written_several_times_are_read_item_by_item() {
    let text = "[[roles.plugin]]\nusers = [7]\n[[roles.plugin]]\nprovider = []\n\
                certificates = [\"cn:a\", \"b\"]\n";
    let found = faults(text);
    assert_eq!(found.len(), 2, "{found:?}");
    assert!(found[0].starts_with("agent.toml:4: roles.plugin[1].provider: unknown"), "{found:?}");
    assert!(found[1].starts_with("agent.toml:5: roles.plugin[1].certificates[1]: "), "{found:?}");
    assert!(parse("[[roles.plugin]]\nusers = [7]\n[[roles.plugin]]\n").is_ok());
}

#[test]
fn a_value_of_another_shape_is_a_fault() {
    for text in [
        "sessions = 4",
        "[run_dir]\nx = 1",
        "[sessions]\nnetns_roots = \"/run/netns\"",
        "[sessions]\nlimit = [1]",
        "[log.level]\nx = 1",
        "[[sessions]]\nlimit = 1",
        "[wireguard.gateway_burst]\nnobody = 8",
        "[wireguard.gateway_burst]\n\"0198c2a0-0000-7000-8000-000000000000\" = 65",
        "[roles]\nadmin = [1]",
    ] {
        assert_eq!(faults(text).len(), 1, "{text}: {:?}", faults(text));
    }
}

//! Thousands of requests that nobody thought of, made up from the API's own description.

use std::fs;
use std::process::Command;
use std::time::{Duration, Instant};

use crate::harness::elsewhere::{ADDRESS, DIR, settings};
use crate::harness::lab::in_lab;
use crate::harness::namespace::host_command;
use crate::harness::process::Process;
use crate::harness::wireguard_peer::Program;
use crate::harness::world::World;

/// Installed by `make setup`.
const SCHEMATHESIS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/.tools/python/bin/schemathesis");
const SETTINGS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/schemathesis.toml");
/// How many requests there are at least.
const CASES: u32 = 5_000;
const CHECKS: [&str; 7] = [
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
    "unsupported_method",
    "allow_header_conformance",
];
/// The most requests made up for one call in one round, besides those at the edges of its schema.
const EACH: u32 = 120;
/// How many lines of a report a failed test shows.
const ESSENCE: usize = 14;
const REPORT: &str = concat!(env!("CARGO_TARGET_TMPDIR"), "/made-up-requests.txt");
const ROUNDS: u32 = 10;
/// A round takes about a minute on an idle machine.
const LIMIT: Duration = Duration::from_mins(10);

#[test]
fn no_made_up_request_gets_an_answer_that_is_not_documented() {
    in_lab(|lab| {
        let world = World::with(lab, 1, Program::WireguardGo, &settings());
        let (mut cases, begun) = (0, Instant::now());
        for seed in 1..=ROUNDS {
            cases += round(&world, seed);
            if cases >= CASES {
                break;
            }
        }
        println!("{cases} made-up requests in {:?}", begun.elapsed());
        assert!(cases >= CASES, "only {cases} requests were made up");
        let log = world.agent.log();
        let fault = log
            .lines()
            .find(|line| line.contains("\"level\":\"ERROR\"") || line.contains("panicked"));
        assert_eq!(fault, None, "the agent found a fault of its own");
        let sessions = world.agent.sessions();
        assert!(sessions.is_empty(), "nothing could be attached: {sessions:?}");
    });
}

/// Runs Schemathesis once over all calls that end, and gives the number of requests it made.
fn round(world: &World<'_>, seed: u32) -> u32 {
    let mut schemathesis = Process::start(&mut command(seed));
    let status = schemathesis.wait(LIMIT);
    let said = schemathesis.output();
    if !status.success() {
        let log = world.agent.log();
        fs::write(REPORT, format!("{said}\n{log}")).expect("write the report");
        panic!("round {seed}, {status}:\n{}\nthe whole report is {REPORT}", essence(&said));
    }
    let counted = said.lines().filter_map(|line| line.trim().split_once(" generated"));
    let mut counts = counted.filter_map(|(count, _)| count.replace(',', "").parse().ok());
    counts.next().unwrap_or_else(|| panic!("it does not say how many: {}", essence(&said)))
}

/// The first failures of a report, in a few lines: what is shown of a failed test is cut.
fn essence(report: &str) -> String {
    let of_interest = |line: &&str| !line.trim().is_empty() && !line.starts_with("Schemathesis");
    let from = report.find("= ERRORS =").into_iter().chain(report.find("= FAILURES =")).min();
    let lines = report[from.unwrap_or(0)..].lines().filter(of_interest);
    let short = lines.map(|line| line.chars().take(160).collect::<String>());
    short.take(ESSENCE).collect::<Vec<_>>().join("\n")
}

fn command(seed: u32) -> Command {
    let mut command = host_command(SCHEMATHESIS);
    // Hypothesis does otherwise where it finds a variable of a CI's, and sets have another order
    // with each run.
    let path = std::env::var_os("PATH").unwrap_or_default();
    command.env_clear().env("PATH", path).envs([("PYTHONHASHSEED", "0"), ("LANG", "C.UTF-8")]);
    command.current_dir("/run").args(["--config-file", SETTINGS, "run"]);
    command.args(["--no-color", "--continue-on-failure", "--no-shrink"]);
    command.args(["--phases", "coverage,fuzzing", "--generation-database", "none"]);
    // How long it takes to make a request up says nothing of the agent.
    command.args(["--suppress-health-check", "all"]);
    command.arg(format!("https://{ADDRESS}/v1/openapi.json"));
    command.arg(format!("--request-cert={DIR}/admin.pem"));
    command.arg(format!("--request-cert-key={DIR}/admin.key"));
    command.arg(format!("--tls-verify={DIR}/ca.pem"));
    // The event stream ends when the agent does.
    command.args(["--exclude-operation-id", "events", "--request-timeout", "120"]);
    // A connection that was idle for too long may end while the next request is on its way, and one
    // whose request is much too large ends while that is being sent.
    command.args(["--request-retries", "3"]);
    // Not whether what fits the schemas is taken: what a config or a key must be, and which records
    // there are, they cannot say.
    command.arg(format!("--checks={}", CHECKS.join(",")));
    command.arg(format!("--seed={seed}")).arg(format!("--max-examples={EACH}"));
    command
}

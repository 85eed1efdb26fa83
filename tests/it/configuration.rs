//! `agent.toml` as `egress-agentd --check` judges it.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Output;

use crate::harness::agent::PROGRAM;
use crate::harness::lab::in_lab;
use crate::harness::namespace::host_command;

const FILE: &str = "/run/agent.toml";

fn check(text: &str) -> Output {
    fs::write(FILE, text).unwrap();
    host_command(PROGRAM).args(["--check", "--config", FILE]).output().expect("run the agent")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn a_sound_configuration_is_told_to_be_good_with_what_was_looked_at() {
    in_lab(|_lab| {
        fs::write("/run/report.key", "0123456789abcdef").unwrap();
        let readable = |mode| fs::Permissions::from_mode(mode);
        fs::set_permissions("/run/report.key", readable(0o600)).unwrap();
        let sound = "state_dir = \"/run/state\"\n[api]\ngroup = \"root\"\n[roles.launcher]\n\
                     groups = [\"root\"]\n[report]\nurl = \"http://192.0.2.1/x\"\n\
                     key_file = \"/run/report.key\"\n";
        let output = check(sound);
        let (said, aside) = (text(&output.stdout), text(&output.stderr));
        assert!(output.status.success() && aside.is_empty(), "{said}{aside}");
        assert_eq!(said.lines().count(), 1, "{said}");
        assert!(said.starts_with("/run/agent.toml: good; looked at "), "{said}");
        assert!(said.contains("[report]") && said.contains("/usr/sbin/openvpn"), "{said}");

        fs::set_permissions("/run/report.key", readable(0o644)).unwrap();
        let output = check(sound);
        let aside = text(&output.stderr);
        assert!(!output.status.success() && aside.contains("chmod 600"), "{aside}");
    });
}

#[test]
fn every_fault_of_a_configuration_is_told_at_once_with_its_line() {
    in_lab(|_lab| {
        let output = check(
            "[log]\nlevel = \"loud\"\n[sesions]\nlimit = 4\n[sessions]\nlimit = 0\n\
             netns_root = []\n",
        );
        assert_eq!(output.status.code(), Some(1));
        let aside = text(&output.stderr);
        for place in [
            "agent.toml:2: log.level: ",
            "agent.toml:3: sesions: unknown section. Did you mean sessions?",
            "agent.toml:6: sessions.limit: ",
            "agent.toml:7: sessions.netns_root: unknown setting. Did you mean netns_roots?",
            "egress-agentd: 4 faults",
        ] {
            assert!(aside.contains(place), "no {place:?} in {aside}");
        }
        assert_eq!(text(&output.stdout), "");
    });
}

//! A host that lacks what the agent needs is told so, with what mends it.

use std::time::Duration;

use egress_core::api::StatusView;
use nix::mount::{MsFlags, mount, umount};

use crate::harness::agent::{Agent, PROGRAM};
use crate::harness::http;
use crate::harness::lab::in_lab;
use crate::harness::namespace::host_command;
use crate::harness::wait;

const ADMIN: ([u8; 4], u16) = ([127, 0, 0, 1], 9586);

#[test]
fn a_host_without_tun_is_told_at_the_start_and_until_it_has_one() {
    in_lab(|lab| {
        let none: Option<&str> = None;
        mount(Some("none"), "/dev/net", Some("tmpfs"), MsFlags::empty(), none).unwrap();
        let agent = Agent::start(lab);
        let ready = || http::get(ADMIN.into(), "/readyz").unwrap();
        assert_eq!(ready().status, 503);
        assert!(ready().body.contains("modprobe tun"), "{}", ready().body);
        assert!(agent.log().contains("modprobe tun"), "{}", agent.log());
        let status: StatusView = agent.ask("GET", "/v1/status", "").json();
        let tun = status.parts.iter().find(|part| part.name == "/dev/net/tun").unwrap();
        assert!(!status.ready && !tun.ok && tun.detail.contains("modprobe tun"), "{status:?}");

        umount("/dev/net").unwrap();
        wait::until("the agent is ready", Duration::from_secs(20), || ready().status == 200);
        let status: StatusView = agent.ask("GET", "/v1/status", "").json();
        assert!(status.ready, "{status:?}");
        let of = |name: &str| status.parts.iter().find(|part| part.name == name).unwrap();
        for part in ["agent", "data plane", "API socket", "nftables", "openvpn"] {
            assert!(of(part).ok, "{:?}", of(part));
        }
        assert!(of("openvpn").detail.starts_with("2."), "{:?}", of("openvpn"));
    });
}

#[test]
fn who_is_not_root_is_told_how_to_start_it() {
    in_lab(|_lab| {
        let mut command = host_command("setpriv");
        command.args(["--reuid", "65534", "--regid", "65534", "--clear-groups", "--", PROGRAM]);
        let output = command.output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(said.contains("sudo systemctl start egress-agent"), "{said}");
    });
}

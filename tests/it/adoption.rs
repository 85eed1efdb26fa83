//! A control that starts again trusts nothing of what it finds in a container.

use std::time::Duration;

use egress_core::api::SessionState;

use crate::harness::container::Container;
use crate::harness::engine;
use crate::harness::lab::{Lab, in_lab};
use crate::harness::namespace::host_ip;
use crate::harness::sniffer::Sniffer;
use crate::harness::traffic::Hammer;
use crate::harness::verdict::{Allowed, Canary};
use crate::harness::wait;
use crate::harness::world::{World, session_id};

/// No neighbour of the host's other address, with which it would be told as one network.
const NEW: &str = "192.0.2.77";
const LIMIT: Duration = Duration::from_secs(40);

/// What nft lists of a container, but for what counters have counted.
fn rules(container: &Container) -> String {
    let listed = container.namespace().command("nft").args(["list", "ruleset"]).output().unwrap();
    let listed = String::from_utf8(listed.stdout).unwrap();
    let lines = listed.lines().filter(|line| !line.trim_start().starts_with("packets "));
    lines.collect::<Vec<_>>().join("\n")
}

fn nft(container: &Container, command: &str) {
    let done = container.namespace().command("nft").arg(command).status().unwrap();
    assert!(done.success(), "{command}");
}

/// A container that tries every way out, and an ear outside.
struct Watched {
    sniffer: Sniffer,
    allowed: Allowed,
    canary: Canary,
    hammer: Hammer,
}

impl Watched {
    fn of(lab: &Lab, world: &World<'_>, container: &Container) -> Self {
        let (sniffer, canary) = (lab.sniff(), Canary::random());
        let hammer = Hammer::start(container, &canary, &[]);
        Self { sniffer, allowed: world.allowed(), canary, hammer }
    }

    /// Another round of every probe went by, and nothing was heard.
    #[track_caller]
    fn assert_clean(&self, state: &str) {
        let rounds = self.hammer.rounds();
        wait::until("the container has tried", LIMIT, || self.hammer.rounds() > rounds + 1);
        self.sniffer.assert_clean(state, &self.allowed, &self.canary);
    }
}

#[test]
fn a_session_that_is_taken_up_refuses_the_address_that_the_host_got_meanwhile() {
    in_lab(|lab| {
        let mut world = World::new(lab, 1);
        let (container, _) = world.attached("c-1");
        world.agent.kill_control();
        host_ip(&format!("addr add {NEW}/24 dev uplink\n"));
        assert!(!rules(&container).contains(NEW));
        world.agent.start_again();
        world.agent.wait_for_state(&session_id("c-1"), SessionState::Connected, LIMIT);
        wait::until("the host's new address is refused", LIMIT, || rules(&container).contains(NEW));
        container.wait_for_traffic(LIMIT);
    });
}

#[test]
fn rules_that_were_replaced_meanwhile_are_put_right_and_counters_go_on() {
    in_lab(|lab| {
        let mut world = World::new(lab, 1);
        let (container, _) = world.attached("c-1");
        let before = rules(&container);
        // As many rules, which let everything pass.
        let chain = before.lines().skip_while(|line| !line.contains("chain output"));
        let count = chain.take_while(|line| *line != "\t}").count() - 2;
        let accept = "add rule inet egress_agent output counter name sealed accept\n".repeat(count);
        world.agent.kill_control();
        for script in [
            format!("flush chain inet egress_agent output\n{accept}"),
            "add chain inet egress_agent early { type filter hook output priority -300; }".into(),
            "add table inet egress_agent { flags dormant; }".into(),
        ] {
            nft(&container, &script);
        }
        world.agent.start_again();
        wait::until("the rules are right", LIMIT, || rules(&container) == before);
        world.agent.wait_for_state(&session_id("c-1"), SessionState::Connected, LIMIT);
        container.wait_for_traffic(LIMIT);
    });
}

#[test]
fn a_device_in_the_place_of_the_tunnels_is_not_opened() {
    in_lab(|lab| {
        let mut world = World::new(lab, 1);
        let (container, _) = world.attached("c-1");
        let watched = Watched::of(lab, &world, &container);
        world.agent.kill_control();
        container.namespace().ip("link set eg0 down\nlink set eg0 name mine\nlink set mine up\n");
        engine::connect_as(lab, container.namespace(), 0, "eg0");
        watched.assert_clean("control dead, another device under the name");
        world.agent.start_again();
        watched.assert_clean("control back");
    });
}

#[test]
fn a_device_of_the_tunnels_name_is_not_taken_for_it_when_everything_starts_again() {
    in_lab(|lab| {
        let mut world = World::new(lab, 1);
        let (container, _) = world.attached("c-1");
        let watched = Watched::of(lab, &world, &container);
        world.agent.kill_dataplane_and_control();
        wait::until("the device is gone", LIMIT, || container.devices() == ["lo"]);
        engine::connect_as(lab, container.namespace(), 0, "eg0");
        watched.assert_clean("everything dead, another device under the name");
        world.agent.start_again();
        wait::until("the session says why it is not connected", LIMIT, || {
            let session = world.agent.session(&session_id("c-1"));
            session.is_some_and(|it| it.reason.is_some_and(|it| it.detail.contains("eg0")))
        });
        watched.assert_clean("everything back");
        container.namespace().ip("link del eg0\n");
        world.agent.wait_for_state(&session_id("c-1"), SessionState::Connected, LIMIT);
        container.wait_for_traffic(LIMIT);
        watched.assert_clean("connected again");
    });
}

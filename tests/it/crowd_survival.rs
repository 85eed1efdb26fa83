//! What many sessions at once survive: more than a socket's buffer holds of requests and answers.

use std::thread;
use std::time::Duration;

use egress_core::api::SessionState;

use crate::harness::agent::Agent;
use crate::harness::crowd::Crowd;
use crate::harness::lab::in_lab;
use crate::harness::wait;

/// More than were ever handed over before either side waited for the other.
const CROWD: u16 = 640;
/// The kernel takes a dead process's devices away one after another, in 16 ms each.
const SMALLER: u16 = 200;
/// As many attaches as work at one time.
const CONNECTING: u16 = 32;
const LIMIT: Duration = Duration::from_secs(20);
/// How long the agent may take to stop when nothing is under way.
const STOP: Duration = Duration::from_secs(5);

#[test]
fn every_session_of_a_crowd_comes_back_after_the_data_planes_death() {
    in_lab(|lab| {
        let gateway = lab.gateway(0);
        let mut agent = Agent::start(lab);
        let crowd = Crowd::new(&agent, &gateway, 0, CROWD);
        let mut probes = crowd.attach(&agent);
        let before = probes.ask(LIMIT);
        assert_eq!(before.unanswered, 0, "before: {before}");

        agent.kill_dataplane();
        let killed = probes.ask(LIMIT);
        println!("data plane killed: {killed}");
        assert_eq!(killed.unanswered, 0, "data plane killed: {killed}");
        assert_eq!(agent.ask("GET", "/v1/traffic", "").status, 200);
        assert!(agent.terminate(STOP).success());
    });
}

#[test]
fn every_session_of_a_crowd_comes_back_after_both_processes_died() {
    in_lab(|lab| {
        let gateway = lab.gateway(0);
        let mut agent = Agent::start(lab);
        let crowd = Crowd::new(&agent, &gateway, 0, SMALLER);
        let mut probes = crowd.attach(&agent);
        agent.kill_dataplane_and_control();
        agent.start_again();
        let killed = probes.ask(LIMIT);
        println!("both killed: {killed}");
        assert_eq!(killed.unanswered, 0, "both killed: {killed}");
    });
}

#[test]
fn sessions_that_connect_while_the_data_plane_dies_connect_all_the_same() {
    in_lab(|lab| {
        let gateway = lab.gateway(0);
        let agent = Agent::start(lab);
        let crowd = Crowd::new(&agent, &gateway, 0, CONNECTING);
        crowd.far_ends.set_mute(true);
        thread::scope(|scope| {
            let attaching = scope.spawn(|| crowd.attach(&agent));
            wait::until("every attach has its tunnel", LIMIT, || {
                let sessions = agent.sessions();
                sessions.len() == usize::from(CONNECTING)
                    && agent.devices_of_dataplane() == usize::from(CONNECTING)
                    && sessions.iter().all(|session| session.state == SessionState::Connecting)
            });
            agent.kill_dataplane();
            crowd.far_ends.set_mute(false);
            let mut probes = attaching.join().expect("every attach succeeds");
            let silence = probes.ask(LIMIT);
            assert_eq!(silence.unanswered, 0, "{silence}");
        });
    });
}

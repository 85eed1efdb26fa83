//! What many sessions at once survive: more than a socket's buffer holds of requests and answers.

use std::time::Duration;

use crate::harness::agent::Agent;
use crate::harness::crowd::Crowd;
use crate::harness::lab::in_lab;

/// More than were ever handed over before either side waited for the other.
const CROWD: u16 = 640;
const LIMIT: Duration = Duration::from_secs(20);
/// How long the agent may take to stop when nothing is under way.
const STOP: Duration = Duration::from_secs(5);

#[test]
fn every_session_of_a_crowd_comes_back_after_the_data_planes_death() {
    in_lab(|lab| {
        let gateway = lab.gateway(0);
        let mut agent = Agent::start(lab);
        let mut crowd = Crowd::attached(&agent, &gateway, CROWD);
        let before = crowd.probes.ask(LIMIT);
        assert_eq!(before.unanswered, 0, "before: {before}");

        agent.kill_dataplane();
        let killed = crowd.probes.ask(LIMIT);
        println!("data plane killed: {killed}");
        assert_eq!(killed.unanswered, 0, "data plane killed: {killed}");
        assert_eq!(agent.ask("GET", "/v1/traffic", "").status, 200);
        assert!(agent.terminate(STOP).success());
    });
}

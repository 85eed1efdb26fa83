//! What a session survives, and what ends with it.

use std::time::{Duration, Instant};

use egress_core::api::{AttachRequest, Code, NetnsRef, SessionState};

use crate::harness::container::Container;
use crate::harness::lab::{SERVER_V4, SERVER_V6, in_lab};
use crate::harness::process::limit_processes;
use crate::harness::traffic::Stream;
use crate::harness::wait;
use crate::harness::world::{World, request, session_id};

const LIMIT: Duration = Duration::from_secs(20);
/// "After those namespaces are gone it is 0 within a second."
const REAP: Duration = Duration::from_secs(1);

#[test]
fn traffic_never_stops_while_control_is_killed_and_starts_again() {
    in_lab(|lab| {
        let mut world = World::new(lab, 3);
        let attached: Vec<_> = (0..3).map(|n| world.attached(&format!("c-{n}"))).collect();
        let streams: Vec<_> = attached
            .iter()
            .map(|(container, _)| Stream::start(container, SERVER_V4.into()))
            .collect();
        wait::until("streams flow", LIMIT, || streams.iter().all(|s| s.record().echoes > 10));

        world.agent.kill_control();
        std::thread::sleep(Duration::from_secs(1));
        let before: Vec<_> = streams.iter().map(|stream| stream.record().echoes).collect();
        wait::until("streams flow without control", LIMIT, || {
            streams.iter().zip(&before).all(|(stream, before)| stream.record().echoes > before + 10)
        });
        world.agent.start_again();
        assert_eq!(world.agent.live_connections(), 3);
        for (_, before) in &attached {
            let after = world.agent.session(&before.session_id).expect("adopted");
            assert_eq!(after.state, SessionState::Connected);
            assert_eq!(after.credential_id, before.credential_id);
            assert_eq!(after.timings_ms, None);
        }
        std::thread::sleep(Duration::from_secs(1));
        for stream in streams {
            let record = stream.finish();
            assert_eq!(record.broken, None);
            let gap = record.longest_gap;
            assert!(gap < Duration::from_millis(500), "a stream stopped for {gap:?}");
        }

        for (container, _) in attached {
            container.destroy();
        }
        wait::until("every connection is free", REAP, || world.agent.live_connections() == 0);
        world.agent.wait_until_idle();
    });
}

#[test]
fn connections_of_containers_that_ended_while_control_was_dead_are_free_after_its_start() {
    in_lab(|lab| {
        let mut world = World::new(lab, 3);
        let (first, _) = world.attached("c-1");
        let (second, session) = world.attached("c-2");
        let third = world.attached("c-3").0;
        world.agent.kill_control();
        first.destroy();
        third.destroy();
        world.agent.start_again();
        wait::until("two connections are free", REAP, || world.agent.live_connections() == 1);
        // A session leaves the list a moment after its connection is free.
        let left = || world.agent.sessions().into_iter().map(|it| it.session_id);
        wait::until("one session is left", REAP, || left().eq([session.session_id.clone()]));
        second.wait_for_traffic(LIMIT);
        second.destroy();
        wait::until("the last connection is free", REAP, || world.agent.live_connections() == 0);
    });
}

#[test]
fn a_containers_end_frees_its_connection_within_a_second() {
    in_lab(|lab| {
        let world = World::new(lab, 1);
        for round in 0..3 {
            let (container, _) = world.attached(&format!("c-{round}"));
            assert_eq!(world.agent.live_connections(), 1);
            container.destroy();
            wait::until("the connection is free", REAP, || world.agent.live_connections() == 0);
        }
    });
}

#[test]
fn streams_go_on_through_the_death_of_the_data_plane() {
    in_lab(|lab| {
        let world = World::new(lab, 2);
        let attached: Vec<_> = (0..2).map(|n| world.attached(&format!("c-{n}"))).collect();
        let streams: Vec<_> = attached
            .iter()
            .map(|(container, _)| Stream::start(container, SERVER_V6.into()))
            .collect();
        wait::until("streams flow", LIMIT, || streams.iter().all(|s| s.record().echoes > 10));
        let before = world.agent.dataplane_pid();
        world.agent.kill_dataplane();
        wait::until("another data plane runs", LIMIT, || {
            world.agent.dataplane_pid().is_some_and(|pid| Some(pid) != before)
        });
        for (container, _) in &attached {
            container.wait_for_traffic(LIMIT);
        }
        for stream in streams {
            let echoes = stream.record().echoes;
            wait::until("a stream goes on", LIMIT, || stream.record().echoes > echoes + 10);
            let record = stream.finish();
            assert_eq!(record.broken, None);
            println!("the data plane's death cost {:?}", record.longest_gap);
        }
        assert_eq!(world.agent.live_connections(), 2);
    });
}

#[test]
fn nobody_waits_for_a_data_plane_that_cannot_be_started() {
    in_lab(|lab| {
        let world = World::new(lab, 2);
        let (container, _) = world.attached("c-1");
        let other = Container::with_process("c-2");
        limit_processes(world.agent.pid(), "0");
        world.agent.kill_dataplane();
        wait::until("a start fails", LIMIT, || world.agent.log().contains("does not start"));

        let asked = AttachRequest { deadline_ms: 3_000, ..request("c-2", other.by_path(), 0) };
        let began = Instant::now();
        let problem = world.agent.attach(&asked).unwrap_err();
        assert_eq!(problem.code, Code::DataplaneUnavailable, "{problem:?}");
        world.agent.detach(&session_id("c-1"), false);
        assert_eq!(world.agent.live_connections(), 0);
        assert!(began.elapsed() < Duration::from_secs(6), "{:?}", began.elapsed());
        assert_eq!(container.devices(), ["lo"]);

        limit_processes(world.agent.pid(), "1000");
        wait::until("a data plane runs", LIMIT, || world.agent.attach(&asked).is_ok());
        other.wait_for_traffic(LIMIT);
    });
}

#[test]
fn sessions_come_back_after_control_and_data_plane_died() {
    in_lab(|lab| {
        let mut world = World::new(lab, 1);
        let (container, _) = world.attached("c-1");
        world.agent.kill_dataplane_and_control();
        world.agent.start_again();
        let id = session_id("c-1");
        world.agent.wait_for_state(&id, SessionState::Connected, Duration::from_secs(15));
        container.wait_for_traffic(LIMIT);
        assert_eq!(world.agent.live_connections(), 1);
    });
}

#[test]
fn a_restart_in_order_leaves_sessions_running() {
    in_lab(|lab| {
        let mut world = World::new(lab, 1);
        let (container, _) = world.attached("c-1");
        let stream = Stream::start(&container, SERVER_V4.into());
        assert!(world.agent.terminate(Duration::from_secs(5)).success());
        world.agent.start_again();
        container.wait_for_traffic(LIMIT);
        let record = stream.finish();
        assert_eq!(record.broken, None);
        assert!(record.longest_gap < Duration::from_millis(500), "{record:?}");
        assert_eq!(world.agent.live_connections(), 1);
        // The same attach again still finds it.
        world.agent.attach(&request("c-1", container.by_path(), 0)).unwrap();
        assert_eq!(world.agent.sessions().len(), 1);
    });
}

#[test]
fn a_namespace_that_took_a_dead_ones_name_is_not_taken_for_it() {
    in_lab(|lab| {
        let mut world = World::new(lab, 1);
        let (container, _) = world.attached("c-1");
        world.agent.kill_control();
        container.destroy();
        let impostor = Container::named("c-1");
        world.agent.start_again();
        wait::until("the session is over", REAP, || world.agent.sessions().is_empty());
        assert_eq!(world.agent.live_connections(), 0);
        assert_eq!(impostor.devices(), ["lo"]);
    });
}

#[test]
fn a_process_that_took_a_dead_ones_number_is_not_taken_for_it() {
    in_lab(|lab| {
        let mut world = World::new(lab, 1);
        let container = Container::with_process("c-1");
        let NetnsRef::Pid(number) = container.by_pid() else { unreachable!() };
        world.agent.attach(&request("c-1", container.by_pid(), 0)).unwrap();
        world.agent.kill_control();
        container.destroy();
        let impostor = Container::with_number("c-2", number);
        world.agent.start_again();
        wait::until("the session is over", REAP, || world.agent.sessions().is_empty());
        assert_eq!(world.agent.live_connections(), 0);
        assert_eq!(impostor.devices(), ["lo"]);
        // The number now names the new container, and may be attached as such.
        world.agent.attach(&request("c-1", impostor.by_pid(), 0)).unwrap();
        assert_eq!(impostor.devices(), ["lo", "eg0"]);
    });
}

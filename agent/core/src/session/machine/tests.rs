use proptest::prelude::*;

use super::*;

fn start() -> Instant {
    // The machine only compares times; any instant serves.
    #[expect(clippy::disallowed_methods, reason = "tests need one instant to count from")]
    Instant::now()
}

fn attaching(now: Instant) -> Machine {
    Machine::attach(true, now + Duration::from_secs(10), 1)
}

/// Carries out actions as a perfect world would, until there are none.
fn obey(machine: &mut Machine, now: Instant) -> Vec<Action> {
    let mut done = Vec::new();
    while let Some(action) = machine.poll_action() {
        done.push(action);
        machine.handle(Input::Done, now);
    }
    done
}

fn connected(now: Instant) -> Machine {
    let mut machine = attaching(now);
    obey(&mut machine, now);
    machine.handle(Input::Handshake { generation: 1 }, now);
    obey(&mut machine, now);
    assert_eq!(machine.state(), SessionState::Connected);
    machine
}

fn failed(code: Code) -> Input {
    Input::Failed(because(code))
}

fn unknown(code: Code) -> Input {
    Input::Unknown(because(code))
}

fn because(code: Code) -> Reason {
    Reason { code, detail: String::new() }
}

fn down(code: Code) -> Input {
    Input::Down { generation: 1, reason: because(code) }
}

#[test]
fn an_attach_seals_before_anything_else_and_opens_last() {
    let now = start();
    let mut machine = attaching(now);
    let before = obey(&mut machine, now);
    assert_eq!(before, [Action::Close, Action::Claim, Action::BringUp { generation: 1 }]);
    assert_eq!(machine.state(), SessionState::Connecting);
    machine.handle(Input::Handshake { generation: 1 }, now);
    assert_eq!(obey(&mut machine, now), [Action::Open]);
    assert_eq!(machine.state(), SessionState::Connected);
    assert_eq!(machine.deadline(), None);
}

#[test]
fn a_seal_that_fails_changes_nothing_else() {
    let now = start();
    let mut machine = attaching(now);
    assert_eq!(machine.poll_action(), Some(Action::Close));
    machine.handle(failed(Code::SealFailed), now);
    assert_eq!(obey(&mut machine, now), [Action::Release]);
    assert!(machine.is_over());
}

#[test]
fn a_seal_of_which_nobody_knows_leaves_a_blocked_session() {
    let now = start();
    let mut machine = attaching(now);
    assert_eq!(machine.poll_action(), Some(Action::Close));
    machine.handle(unknown(Code::DeadlineExceeded), now);
    assert_eq!(obey(&mut machine, now), [Action::Close, Action::TearDown, Action::Release]);
    assert_eq!(machine.state(), SessionState::Blocked);
    assert_eq!(machine.reason().unwrap().code, Code::DeadlineExceeded);
    machine.handle(Input::Detach { release: true }, now);
    assert_eq!(obey(&mut machine, now).last(), Some(&Action::Unseal));
    assert!(machine.is_over());
}

#[test]
fn whatever_step_of_an_attach_is_left_half_way_is_undone_from_the_seal_on() {
    let now = start();
    for steps in 1..=4 {
        let mut machine = attaching(now);
        for _ in 1..steps {
            if machine.poll_action().is_none() {
                machine.handle(Input::Handshake { generation: 1 }, now);
                machine.poll_action();
            }
            machine.handle(Input::Done, now);
        }
        if machine.poll_action().is_none() {
            machine.handle(Input::Handshake { generation: 1 }, now);
            assert_eq!(machine.poll_action(), Some(Action::Open));
        }
        machine.handle(unknown(Code::DeadlineExceeded), now);
        assert_eq!(obey(&mut machine, now), [Action::Close, Action::TearDown, Action::Release]);
        assert_eq!(machine.state(), SessionState::Blocked);
    }
}

#[test]
fn a_step_of_a_session_that_stands_is_tried_again_from_the_seal_on_when_nobody_knows_of_it() {
    let now = start();
    let mut machine = connected(now);
    machine.handle(Input::HostRenumbered, now);
    assert_eq!(machine.poll_action(), Some(Action::Open));
    machine.handle(unknown(Code::SealFailed), now);
    assert_eq!(obey(&mut machine, now), [Action::Close, Action::TearDown]);
    assert_eq!(machine.state(), SessionState::Reconnecting);
}

#[test]
fn no_lease_leaves_the_container_blocked_and_sealed() {
    let now = start();
    let mut machine = attaching(now);
    machine.poll_action();
    machine.handle(Input::Done, now);
    assert_eq!(machine.poll_action(), Some(Action::Claim));
    machine.handle(failed(Code::LimitReached), now);
    assert_eq!(obey(&mut machine, now), [Action::Close, Action::TearDown, Action::Release]);
    assert_eq!(machine.state(), SessionState::Blocked);
    assert_eq!(machine.reason().unwrap().code, Code::LimitReached);
}

#[test]
fn a_gateway_that_never_answers_is_a_handshake_timeout() {
    let now = start();
    let mut machine = attaching(now);
    obey(&mut machine, now);
    let deadline = machine.poll_timeout().unwrap();
    machine.handle_timeout(deadline);
    obey(&mut machine, deadline);
    assert_eq!(machine.state(), SessionState::Blocked);
    assert_eq!(machine.reason().unwrap().code, Code::HandshakeTimeout);
}

#[test]
fn a_gateway_that_owes_a_handshake_is_looked_up_while_its_keys_are_good() {
    let now = start();
    let mut machine = connected(now);
    machine.handle(Input::Silent { generation: 1 }, now);
    assert_eq!(obey(&mut machine, now), [Action::Resolve]);
    assert_eq!(machine.state(), SessionState::Connected);
}

#[test]
fn an_open_seal_is_made_anew_when_the_hosts_addresses_are_others() {
    let now = start();
    let mut machine = connected(now);
    machine.handle(Input::HostRenumbered, now);
    assert_eq!(obey(&mut machine, now), [Action::Open]);
    assert_eq!(machine.state(), SessionState::Connected);
    machine.handle(Input::Dead { generation: 1 }, now);
    obey(&mut machine, now);
    machine.handle(Input::HostRenumbered, now);
    assert_eq!(obey(&mut machine, now), [], "it is closed, and opens for what they are then");
}

#[test]
fn a_dead_gateway_closes_the_seal_and_its_answer_opens_it() {
    let now = start();
    let mut machine = connected(now);
    machine.handle(Input::Dead { generation: 1 }, now);
    assert_eq!(machine.state(), SessionState::Reconnecting);
    assert_eq!(obey(&mut machine, now), [Action::Close, Action::Resolve]);
    machine.handle(Input::Silent { generation: 1 }, now);
    assert_eq!(obey(&mut machine, now), [Action::Resolve]);
    machine.handle(Input::Handshake { generation: 1 }, now);
    assert_eq!(obey(&mut machine, now), [Action::Open]);
    assert_eq!(machine.state(), SessionState::Connected);
}

#[test]
fn what_a_server_gives_is_configured_before_the_seal_opens() {
    let now = start();
    let mut machine = attaching(now);
    obey(&mut machine, now);
    machine.handle(Input::Connected { generation: 1 }, now);
    assert_eq!(obey(&mut machine, now), [Action::Configure, Action::Open]);
    assert_eq!(machine.state(), SessionState::Connected);
}

#[test]
fn a_server_that_gives_anew_finds_the_container_sealed() {
    let now = start();
    let mut machine = connected(now);
    machine.handle(Input::Connected { generation: 1 }, now);
    assert_eq!(machine.state(), SessionState::Reconnecting);
    assert_eq!(obey(&mut machine, now), [Action::Close, Action::Configure, Action::Open]);
    assert_eq!(machine.state(), SessionState::Connected);
}

#[test]
fn a_lost_server_closes_the_seal_and_the_device_is_set_again_before_it_opens() {
    let now = start();
    let mut machine = connected(now);
    machine.handle(down(Code::TunnelDown), now);
    assert_eq!(obey(&mut machine, now), [Action::Close]);
    assert_eq!(machine.state(), SessionState::Reconnecting);
    machine.handle(down(Code::EndpointUnreachable), now);
    assert_eq!(machine.reason().unwrap().code, Code::EndpointUnreachable);
    assert_eq!(machine.poll_action(), None);
    machine.handle(Input::Connected { generation: 1 }, now);
    assert_eq!(obey(&mut machine, now), [Action::Configure, Action::Open]);
    assert_eq!(machine.reason(), None);
}

#[test]
fn an_attach_whose_time_is_up_tells_the_trouble_it_had() {
    let now = start();
    let mut machine = attaching(now);
    obey(&mut machine, now);
    machine.handle(down(Code::TlsFailed), now);
    assert_eq!(machine.state(), SessionState::Connecting);
    machine.handle_timeout(machine.deadline().unwrap());
    assert_eq!(obey(&mut machine, now), [Action::Close, Action::TearDown, Action::Release]);
    assert_eq!(machine.reason().unwrap().code, Code::TlsFailed);
}

#[test]
fn an_attach_does_not_wait_for_a_name_that_leads_nowhere() {
    let now = start();
    let mut machine = attaching(now);
    obey(&mut machine, now);
    machine.handle(down(Code::EndpointUnresolved), now);
    obey(&mut machine, now);
    assert_eq!(machine.state(), SessionState::Blocked);
}

#[test]
fn a_refused_credential_is_not_tried_again_by_itself() {
    let now = start();
    for mut machine in [attaching(now), connected(now)] {
        obey(&mut machine, now);
        let reason = because(Code::AuthFailed);
        machine.handle(Input::Refused { generation: 1, reason }, now);
        assert_eq!(obey(&mut machine, now), [Action::Close, Action::TearDown, Action::Release]);
        assert_eq!(machine.state(), SessionState::Blocked);
        assert_eq!(machine.reason().unwrap().code, Code::AuthFailed);
        assert_eq!(machine.poll_timeout(), None);
    }
}

#[test]
fn a_tunnel_that_has_ended_is_brought_up_again() {
    let now = start();
    let mut machine = connected(now);
    machine.handle(Input::Ended { generation: 1, reason: because(Code::Internal) }, now);
    assert_eq!(obey(&mut machine, now), [Action::Close, Action::TearDown]);
    machine.handle_timeout(machine.poll_timeout().unwrap());
    assert_eq!(obey(&mut machine, now), [Action::BringUp { generation: 2 }]);
}

#[test]
fn news_of_a_former_tunnel_is_ignored() {
    let now = start();
    let mut machine = connected(now);
    machine.handle(Input::Dead { generation: 0 }, now);
    assert_eq!(machine.state(), SessionState::Connected);
    assert_eq!(machine.poll_action(), None);
}

#[test]
fn a_session_restored_after_a_restart_is_sealed_until_its_tunnel_stands() {
    let now = start();
    let mut machine = Machine::restored(4, 1);
    assert_eq!(obey(&mut machine, now), [Action::Close, Action::BringUp { generation: 5 }]);
    assert_eq!(machine.state(), SessionState::Reconnecting);
    machine.handle(Input::Handshake { generation: 5 }, now);
    assert_eq!(obey(&mut machine, now), [Action::Open]);
}

#[test]
fn an_adopted_session_is_not_touched() {
    let now = start();
    let mut machine = Machine::adopted(3, 1);
    assert_eq!(obey(&mut machine, now), [Action::Adopt]);
    assert_eq!(machine.state(), SessionState::Connected);
}

#[test]
fn a_session_that_cannot_be_adopted_is_sealed_and_brought_up_again() {
    let now = start();
    let mut machine = Machine::adopted(3, 1);
    machine.poll_action();
    machine.handle(failed(Code::SealFailed), now);
    assert_eq!(obey(&mut machine, now), [Action::Close, Action::TearDown]);
    assert_eq!(machine.state(), SessionState::Reconnecting);
    machine.handle_timeout(machine.poll_timeout().unwrap());
    assert_eq!(obey(&mut machine, now), [Action::BringUp { generation: 4 }]);
}

#[test]
fn a_restored_session_tries_for_ever_with_growing_waits() {
    let now = start();
    let mut machine = Machine::restored(0, 1);
    machine.poll_action();
    machine.handle(Input::Done, now);
    let mut at = now;
    let mut last = Duration::ZERO;
    for _ in 0..4 {
        assert!(matches!(machine.poll_action(), Some(Action::BringUp { .. })));
        machine.handle(failed(Code::EndpointUnresolved), at);
        assert_eq!(obey(&mut machine, at), [Action::Close, Action::TearDown]);
        let wake = machine.poll_timeout().unwrap();
        assert!(wake - at > last / 2);
        (last, at) = (wake - at, wake);
        machine.handle_timeout(at);
    }
}

#[test]
fn a_dead_namespace_ends_in_a_released_lease() {
    let now = start();
    let mut machine = connected(now);
    machine.handle(Input::NamespaceGone, now);
    assert_eq!(obey(&mut machine, now), [Action::TearDown, Action::Release]);
    assert!(machine.is_over());
}

#[test]
fn a_detach_seals_first_and_unseals_only_on_request() {
    let now = start();
    for (release, last) in [(false, Action::Release), (true, Action::Unseal)] {
        let mut machine = connected(now);
        machine.handle(Input::Detach { release }, now);
        let actions = obey(&mut machine, now);
        assert_eq!((actions.first(), actions.last()), (Some(&Action::Close), Some(&last)));
        assert!(machine.is_over());
    }
}

#[test]
fn a_stopping_agent_undoes_attaches_and_leaves_standing_sessions() {
    let now = start();
    let mut attaching = attaching(now);
    obey(&mut attaching, now);
    attaching.handle(Input::Shutdown, now);
    assert_eq!(obey(&mut attaching, now), [Action::Close, Action::TearDown, Action::Release]);
    assert!(attaching.is_over());

    let mut standing = connected(now);
    standing.handle(Input::Shutdown, now);
    assert_eq!(standing.poll_action(), None);
    assert_eq!(standing.state(), SessionState::Connected);
}

#[test]
fn a_session_without_a_gateway_stays_sealed() {
    let now = start();
    let mut machine = Machine::attach(false, now + Duration::from_secs(1), 1);
    assert_eq!(obey(&mut machine, now), [Action::Close]);
    assert_eq!(machine.state(), SessionState::Blocked);
    assert_eq!(machine.reason().unwrap().code, Code::NoGateway);
}

fn any_input() -> impl Strategy<Value = Input> {
    prop_oneof![
        4 => Just(Input::Done),
        2 => Just(failed(Code::DeviceFailed)),
        1 => Just(failed(Code::NetnsGone)),
        2 => Just(unknown(Code::DeadlineExceeded)),
        3 => (0..4_u64).prop_map(|generation| Input::Handshake { generation }),
        1 => (0..4_u64).prop_map(|generation| Input::Silent { generation }),
        1 => Just(Input::HostRenumbered),
        2 => (0..4_u64).prop_map(|generation| Input::Dead { generation }),
        3 => (0..4_u64).prop_map(|generation| Input::Connected { generation }),
        2 => (0..4_u64).prop_map(|generation| {
            Input::Down { generation, reason: because(Code::TunnelDown) }
        }),
        1 => (0..4_u64).prop_map(|generation| {
            Input::Refused { generation, reason: because(Code::AuthFailed) }
        }),
        1 => (0..4_u64).prop_map(|generation| {
            Input::Ended { generation, reason: because(Code::Internal) }
        }),
        1 => Just(Input::NamespaceGone),
        1 => any::<bool>().prop_map(|release| Input::Detach { release }),
        1 => Just(Input::Shutdown),
    ]
}

proptest! {
    /// Whatever happens in whatever order: the ruleset is open only while the state says so, the
    /// lease is given back exactly when a session ends, an end is an end, and a container that may
    /// be sealed has a session until somebody ends it.
    #[test]
    fn open_means_connected_and_over_means_released(
        inputs in prop::collection::vec((any_input(), 0..20_u64), 0..60),
    ) {
        let mut now = start();
        let mut machine = attaching(now);
        // Each is what may be so: of a step that was given up nobody knows what it did.
        let (mut open, mut leased, mut raised, mut sealed) = (false, false, false, false);
        let mut ended_from_outside = false;
        for (input, seconds) in inputs {
            now += Duration::from_secs(seconds);
            machine.handle_timeout(now);
            while let Some(action) = machine.poll_action() {
                let fails = matches!(&input, Input::Failed(_));
                let unclear = matches!(&input, Input::Unknown(_));
                match action {
                    Action::Open => open = !fails,
                    Action::Close => (open, sealed) = (false, sealed || !fails),
                    Action::Unseal => (open, sealed) = (false, false),
                    Action::Claim => leased = !fails,
                    Action::Release => leased = false,
                    Action::BringUp { .. } => raised = !fails,
                    Action::TearDown => raised = false,
                    Action::Configure => prop_assert!(!open),
                    Action::Resolve | Action::Adopt => {}
                }
                let answer = if fails || unclear { input.clone() } else { Input::Done };
                machine.handle(answer, now);
            }
            let gone = |reason: &Reason| reason.code == Code::NetnsGone;
            ended_from_outside |=
                matches!(&input, Input::Detach { .. } | Input::NamespaceGone | Input::Shutdown)
                    || matches!(&input, Input::Failed(reason) if gone(reason));
            if !matches!(input, Input::Done | Input::Failed(_) | Input::Unknown(_)) {
                machine.handle(input, now);
            }
            if machine.state() == SessionState::Connected {
                prop_assert!(open && leased && raised);
            }
            if machine.is_over() {
                prop_assert!(!leased && !raised);
                prop_assert!(ended_from_outside || !sealed, "a seal without a session");
            }
        }
    }
}

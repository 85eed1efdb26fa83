//! A tunnel's machine on random walks through everything that openvpn was ever heard to say.

use std::time::{Duration, Instant};

use egress_core::openvpn::Login;
use egress_core::openvpn::machine::{Action, Input, Machine, News, Setup};
use egress_core::openvpn::management::{Message, StateName};
use egress_core::secret::Secret;
use proptest::prelude::*;

use crate::dialogues::{DIALOGUES, messages};
use crate::machine::{PROFILE, address, start, with_ca};

/// What may happen next, in a sensible order or in none.
#[derive(Debug, Clone)]
enum Step {
    /// Some message of some dialogue.
    Say(usize, usize),
    /// What was asked for comes true: a process runs or has ended, addresses are found.
    Comply,
    /// The process dies.
    Die,
    Pass(u64),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (any::<usize>(), any::<usize>()).prop_map(|(name, index)| Step::Say(name, index)),
        4 => Just(Step::Comply),
        1 => Just(Step::Die),
        1 => (0..40_000_u64).prop_map(Step::Pass),
    ]
}

/// What the supervisor has been asked for and has not done yet, and what it was told.
#[derive(Debug, Default)]
#[expect(clippy::struct_excessive_bools, reason = "each is one thing that is owed or not")]
struct Owed {
    addresses: bool,
    start: bool,
    end: bool,
    runs: bool,
    refused: bool,
    /// What the session has been told last.
    connected: bool,
}

impl Owed {
    fn take(&mut self, machine: &mut Machine) {
        while let Some(action) = machine.poll_action() {
            assert!(!self.refused || matches!(action, Action::End), "after a refusal: {action:?}");
            match action {
                Action::Resolve => self.addresses = true,
                Action::Start(_) => {
                    assert!(!self.start && !self.runs, "two processes at one time");
                    self.start = true;
                }
                Action::End => {
                    assert!(self.runs && !self.end, "ends what does not run, or twice");
                    self.end = true;
                }
                Action::Send(_) => assert!(self.runs, "talks to nobody"),
                Action::Tell(News::Refused(_) | News::DeviceGone) => {
                    (self.refused, self.connected) = (true, false);
                }
                Action::Tell(News::Connected { .. }) => self.connected = true,
                Action::Tell(News::Down(_)) => self.connected = false,
                Action::Tell(News::Trouble(_)) => {}
            }
        }
    }

    fn comply(&mut self, machine: &mut Machine, now: Instant) {
        if std::mem::take(&mut self.addresses) {
            machine.handle(Input::Resolved(vec![address(1), address(2)]), now);
        } else if std::mem::take(&mut self.start) {
            self.runs = true;
            machine.handle(Input::Started, now);
        } else if self.end {
            self.die(machine, now);
        }
    }

    fn die(&mut self, machine: &mut Machine, now: Instant) {
        if std::mem::take(&mut self.runs) {
            self.end = false;
            machine.handle(Input::Ended { words: String::new(), by_itself: true }, now);
        }
    }
}

/// Whether who says so is not connected.
fn says_that_it_is_off(message: &Message) -> bool {
    match message {
        Message::Hold { .. } => true,
        Message::State(state) => {
            matches!(state.name, StateName::Reconnecting | StateName::Exiting)
        }
        _ => false,
    }
}

proptest! {
    /// Whatever openvpn says in whatever order, no process is started beside another one, nothing
    /// is said or tried after a refusal, nobody is connected whose openvpn has broken off, and what
    /// is not connected has something that it waits for.
    #[test]
    fn nothing_that_is_said_confuses_it(steps in prop::collection::vec(step(), 1..200)) {
        let login = Login { username: "alice".to_owned(), password: Secret::new("x".to_owned()) };
        let challenge = Some(Secret::new("1".to_owned()));
        let setup = Setup { login: Some(login), challenge, split: false, flaws: None, seed: 3 };
        let mut machine = Machine::new(&with_ca(PROFILE), setup);
        let (mut owed, mut now) = (Owed::default(), start());
        owed.take(&mut machine);
        for step in steps {
            let mut off = false;
            match step {
                Step::Say(name, index) if owed.runs => {
                    let said = messages(DIALOGUES[name % DIALOGUES.len()].0);
                    let message = said[index % said.len()].clone();
                    off = says_that_it_is_off(&message);
                    machine.handle(Input::Said(message), now);
                }
                Step::Say(..) => {}
                Step::Comply => owed.comply(&mut machine, now),
                Step::Die => owed.die(&mut machine, now),
                Step::Pass(ms) => {
                    now += Duration::from_millis(ms);
                    machine.handle_timeout(now);
                }
            }
            owed.take(&mut machine);
            prop_assert!(!owed.connected || (owed.runs && !off), "{machine:?}");
            let waits = machine.poll_timeout().is_some() || owed.addresses || owed.start || owed.end;
            prop_assert!(waits || owed.connected || owed.refused || machine.is_over(), "{machine:?}");
        }
    }
}

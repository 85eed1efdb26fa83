//! Judging whether the data plane still does its work.
//!
//! It is asked at every beat, and whatever it says counts. One that a signal has stopped is lost
//! at the first beat that it leaves unanswered: no load stops a process so. Any other has ten
//! seconds of beats, and a worker of its as many: on a machine with far too much to do a process
//! that waits for its turn is no other than one that hangs. Beats are counted and not time, since
//! control may be the one that did not get its turn, and what has come in meanwhile is heard
//! before a beat is counted as missed.

use std::fmt;
use std::time::Duration;

/// Between two beats.
pub const BEAT: Duration = Duration::from_millis(250);
/// Beats without a word.
const SILENT_MAX: u32 = 40;
/// Answers that find a worker where it was.
const STUCK_MAX: u32 = 40;

/// What is known of the data plane since it was connected to.
#[derive(Debug, Default)]
pub struct Heartbeat {
    asked: bool,
    silent: u32,
}

/// What a beat calls for.
#[derive(Debug, PartialEq, Eq)]
pub enum Beat {
    /// It is to be asked.
    Ask,
    /// It has been asked.
    Wait,
    /// It is to be replaced.
    Lost(Lost),
}

/// Why a data plane is of no use any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lost {
    /// A signal has stopped it.
    Stopped,
    /// It says nothing.
    Silent,
    /// One of its threads does nothing.
    Stuck,
}

impl Heartbeat {
    /// It is time. What has come in was heard.
    pub fn beat(&mut self, is_stopped: impl FnOnce() -> bool) -> Beat {
        if !self.asked {
            self.asked = true;
            return Beat::Ask;
        }
        self.silent += 1;
        if is_stopped() {
            Beat::Lost(Lost::Stopped)
        } else if self.silent >= SILENT_MAX {
            Beat::Lost(Lost::Silent)
        } else {
            Beat::Wait
        }
    }

    /// It has said something.
    pub fn heard(&mut self) {
        self.silent = 0;
    }

    /// It has answered, and says for how many answers a worker has not moved.
    pub fn answered(&mut self, stuck: u32) -> Option<Lost> {
        self.asked = false;
        (stuck >= STUCK_MAX).then_some(Lost::Stuck)
    }

    /// For how long it has said nothing although it was asked, where that is worth a word.
    pub fn silence(&self) -> Option<Duration> {
        (self.silent > 1).then(|| BEAT * self.silent)
    }
}

impl fmt::Display for Lost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Stopped => "a signal has stopped it",
            Self::Silent => "it does not answer",
            Self::Stuck => "one of its threads hangs",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_that_answers_is_asked_for_ever() {
        let mut heartbeat = Heartbeat::default();
        for _ in 0..1000 {
            assert_eq!(heartbeat.beat(|| true), Beat::Ask);
            heartbeat.heard();
            assert_eq!(heartbeat.answered(3), None);
        }
    }

    #[test]
    fn a_stopped_one_is_lost_with_the_first_beat_that_it_misses() {
        let mut heartbeat = Heartbeat::default();
        assert_eq!(heartbeat.beat(|| true), Beat::Ask);
        assert_eq!(heartbeat.beat(|| true), Beat::Lost(Lost::Stopped));
    }

    #[test]
    fn one_that_says_anything_at_all_is_not_lost() {
        let mut heartbeat = Heartbeat::default();
        assert_eq!(heartbeat.beat(|| false), Beat::Ask);
        for _ in 0..100 {
            for _ in 1..SILENT_MAX {
                assert_eq!(heartbeat.beat(|| false), Beat::Wait);
            }
            heartbeat.heard();
        }
        for _ in 1..SILENT_MAX {
            assert_eq!(heartbeat.beat(|| false), Beat::Wait);
        }
        assert_eq!(heartbeat.beat(|| false), Beat::Lost(Lost::Silent));
    }

    #[test]
    fn one_whose_thread_hangs_is_lost() {
        let mut heartbeat = Heartbeat::default();
        assert_eq!(heartbeat.answered(STUCK_MAX - 1), None);
        assert_eq!(heartbeat.answered(STUCK_MAX), Some(Lost::Stuck));
    }
}

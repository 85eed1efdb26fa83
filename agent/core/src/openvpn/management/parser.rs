//! What openvpn says, message by message, from bytes as they come.

use std::collections::BTreeMap;

use super::lines::{Lines, Piece};
use super::message::{Environment, Message};
use super::notification::{self, Line};

/// The most variables of one `>UPDOWN:` block.
pub const ENVIRONMENT_MAX: usize = 4096;

/// Reads a management connection. However the bytes are cut, the messages are the same. It keeps
/// one line, or one block of variables, at most.
pub struct Parser {
    lines: Lines,
    block: Option<Block>,
}

/// A block of variables that has not ended yet.
struct Block {
    up: bool,
    /// `None` once there were too many.
    variables: Option<BTreeMap<String, String>>,
}

impl Default for Parser {
    fn default() -> Self {
        Self::new()
    }
}

impl Parser {
    /// For the beginning of a connection.
    pub fn new() -> Self {
        Self { lines: Lines::new(), block: None }
    }

    /// Takes bytes, and gives the messages that they complete.
    pub fn feed(&mut self, bytes: &[u8]) -> Vec<Message> {
        let mut messages = Vec::new();
        let block = &mut self.block;
        self.lines.feed(bytes, |piece| {
            messages.extend(match piece {
                Piece::Line(line) => take(block, notification::read(line)),
                Piece::Prompt => Some(Message::PasswordPrompt),
                Piece::TooLong => Some(Message::TooLong),
            });
        });
        messages
    }
}

fn take(block: &mut Option<Block>, line: Line) -> Option<Message> {
    match line {
        Line::Message(message) => Some(message),
        Line::Up => begin(block, true),
        Line::Down => begin(block, false),
        Line::Variable { name, value } => add(block, name, value),
        Line::EndOfVariables => match block.take() {
            Some(block) => Some(block.finish()),
            None => Some(malformed()),
        },
    }
}

fn begin(block: &mut Option<Block>, up: bool) -> Option<Message> {
    let unfinished = block.replace(Block { up, variables: Some(BTreeMap::new()) });
    unfinished.map(|_| malformed())
}

fn add(block: &mut Option<Block>, name: String, value: String) -> Option<Message> {
    let Some(block) = block else { return Some(malformed()) };
    let variables = block.variables.as_mut()?;
    variables.insert(name, value);
    if variables.len() > ENVIRONMENT_MAX {
        block.variables = None;
    }
    None
}

impl Block {
    fn finish(self) -> Message {
        match (self.variables, self.up) {
            (None, _) => malformed(),
            (Some(variables), true) => Message::Up(Environment(variables)),
            (Some(variables), false) => Message::Down(Environment(variables)),
        }
    }
}

fn malformed() -> Message {
    Message::Malformed { source: "UPDOWN".to_owned() }
}

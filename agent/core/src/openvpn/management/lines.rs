//! A stream of bytes, cut into lines of bounded length.

use zeroize::Zeroizing;

/// The most bytes of a line. openvpn's own buffer for a message has 10 KiB.
pub const LINE_MAX: usize = 16 * 1024;
/// What asks for the password of the interface itself: no newline follows.
const PROMPT: &[u8] = b"ENTER PASSWORD:";

/// What a stream is made of.
pub(super) enum Piece<'a> {
    /// Without its end.
    Line(&'a str),
    Prompt,
    /// A line with more than [`LINE_MAX`] bytes; it is skipped.
    TooLong,
}

/// A line that has not ended yet.
pub(super) struct Lines {
    /// It may hold a token.
    begun: Zeroizing<Vec<u8>>,
    skipping: bool,
}

impl Lines {
    pub fn new() -> Self {
        Self { begun: Zeroizing::new(Vec::new()), skipping: false }
    }

    /// Takes bytes, and hands over the pieces that they complete.
    pub fn feed(&mut self, bytes: &[u8], mut take: impl FnMut(Piece<'_>)) {
        for byte in bytes {
            match byte {
                b'\n' if self.skipping => self.skipping = false,
                b'\n' => self.end_line(&mut take),
                _ if self.skipping => {}
                _ => self.push(*byte, &mut take),
            }
        }
    }

    fn end_line(&mut self, take: &mut impl FnMut(Piece<'_>)) {
        let line = self.begun.strip_suffix(b"\r").unwrap_or(&self.begun);
        take(Piece::Line(&String::from_utf8_lossy(line)));
        self.begun.clear();
    }

    fn push(&mut self, byte: u8, take: &mut impl FnMut(Piece<'_>)) {
        if self.begun.len() == LINE_MAX {
            self.begun.clear();
            self.skipping = true;
            return take(Piece::TooLong);
        }
        self.grow_unseen();
        self.begun.push(byte);
        if *self.begun == PROMPT {
            self.begun.clear();
            take(Piece::Prompt);
        }
    }

    /// A buffer that grows by itself leaves a copy behind.
    fn grow_unseen(&mut self) {
        if self.begun.len() == self.begun.capacity() {
            let mut larger = Vec::with_capacity((2 * self.begun.len()).max(1024));
            larger.extend_from_slice(&self.begun);
            self.begun = Zeroizing::new(larger);
        }
    }
}

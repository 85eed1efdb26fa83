//! What is logged while a test runs.

use std::io;
use std::sync::{Arc, Mutex};

use serde_json::Value;
use tracing::subscriber::DefaultGuard;
use tracing_subscriber::fmt::MakeWriter;

/// The log of this thread, from when it is made until it is dropped.
pub struct Log {
    bytes: Arc<Mutex<Vec<u8>>>,
    _guard: DefaultGuard,
}

#[derive(Clone)]
struct Kept(Arc<Mutex<Vec<u8>>>);

impl Log {
    pub fn start() -> Self {
        let bytes = Arc::<Mutex<Vec<u8>>>::default();
        let subscriber =
            tracing_subscriber::fmt().json().with_writer(Kept(Arc::clone(&bytes))).finish();
        Self { bytes, _guard: tracing::subscriber::set_default(subscriber) }
    }

    /// What was logged since the last time: level, target and fields.
    pub fn take(&self) -> Vec<Value> {
        let bytes = std::mem::take(&mut *self.bytes.lock().unwrap());
        let text = String::from_utf8(bytes).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

impl io::Write for Kept {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Kept {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

//! Applying a ruleset with the `nft` program.

use std::{
    fs::File,
    io::{self, Read, Seek, Write},
    path::PathBuf,
    process::{Child, Command, ExitStatus, Stdio},
    time::Duration,
};

use rustix::{
    event::{PollFd, PollFlags, poll},
    fs::{MemfdFlags, memfd_create},
    io::retry_on_intr,
};

use super::error::NftError;
use crate::process::PidFd;

const DIRECTORIES: [&str; 4] = ["/usr/sbin", "/sbin", "/usr/bin", "/bin"];
/// A ruleset takes milliseconds; this is for a machine in trouble.
const DEADLINE: Duration = Duration::from_secs(5);
/// The most of what `nft` says that goes into an error, in bytes.
const SAID_MAX: u64 = 4096;

/// Applies `script`, in the language of nft(8), in one transaction: all of it or nothing.
pub fn apply(script: &str) -> Result<(), NftError> {
    let program = find().ok_or(NftError::Missing)?;
    let failed = |source| NftError::Run { program: program.clone(), source };
    // Files in memory have no other end that could block or be waited for, as pipes do.
    let input = file_of(script).map_err(failed)?;
    let mut output = file_of("").map_err(failed)?;
    let child = Command::new(&program)
        .args(["-f", "-"])
        .env_clear()
        .stdin(input)
        .stdout(Stdio::null())
        .stderr(output.try_clone().map_err(failed)?)
        .spawn()
        .map_err(failed)?;
    let status = wait(child).map_err(failed)?.ok_or(NftError::Slow { after: DEADLINE })?;
    if status.success() {
        return Ok(());
    }
    Err(NftError::Refused { status, said: text_of(&mut output).map_err(failed)? })
}

fn find() -> Option<PathBuf> {
    let places = DIRECTORIES.iter().map(|directory| PathBuf::from(directory).join("nft"));
    places.into_iter().find(|place| place.is_file())
}

fn file_of(text: &str) -> io::Result<File> {
    let mut file = File::from(memfd_create("nft", MemfdFlags::CLOEXEC)?);
    file.write_all(text.as_bytes())?;
    file.rewind()?;
    Ok(file)
}

fn text_of(file: &mut File) -> io::Result<String> {
    file.rewind()?;
    let mut bytes = Vec::new();
    file.take(SAID_MAX).read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).trim().to_owned())
}

/// How it ended; `None` when it had to be killed.
fn wait(mut child: Child) -> io::Result<Option<ExitStatus>> {
    let Ok(process) = PidFd::open(child.id()) else {
        // Too many open files: better without a deadline than without an answer.
        return child.wait().map(Some);
    };
    let mut ended = [PollFd::new(&process, PollFlags::IN)];
    let deadline = DEADLINE.try_into().expect("the deadline is a few seconds");
    // The signal that tells of the child's end may come to this thread.
    if retry_on_intr(|| poll(&mut ended, Some(&deadline)))? == 0 {
        child.kill()?;
        child.wait()?;
        return Ok(None);
    }
    child.wait().map(Some)
}

//! Answering the calls of a confined program that its filter leaves to us.

use std::{
    io::{self, IoSlice, IoSliceMut},
    mem::MaybeUninit,
    os::{
        fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd},
        unix::net::UnixStream,
    },
    time::Duration,
};

use libc::{
    EPERM, SECCOMP_ADDFD_FLAG_SEND, SECCOMP_IOCTL_NOTIF_ADDFD, SECCOMP_IOCTL_NOTIF_RECV,
    SECCOMP_IOCTL_NOTIF_SEND, SECCOMP_USER_NOTIF_FLAG_CONTINUE, seccomp_notif, seccomp_notif_addfd,
    seccomp_notif_resp,
};
use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    io::{Errno, retry_on_intr},
    net::{
        RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
        SendAncillaryMessage, SendFlags, recvmsg, sendmsg,
    },
};

/// How long a program that was started may take to be heard.
const START: Duration = Duration::from_secs(5);
const START_POLL: Timespec = Timespec { tv_sec: 5, tv_nsec: 0 };

/// Hears a confined program, and hands it its device. Readable when it waits for an answer. When
/// this is dropped, or its process dies, what would be asked fails.
#[derive(Debug)]
pub struct Listener {
    fd: OwnedFd,
    device: OwnedFd,
}

/// What was answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answered {
    /// Nothing: nothing was asked.
    Nothing,
    /// It has got its device.
    Device,
    /// Something else.
    Other,
    /// The program is gone.
    Gone,
}

/// `struct seccomp_notif`, and room for what a later kernel may add to it.
#[repr(C)]
struct Question {
    notif: seccomp_notif,
    more: [u64; 22],
}

impl AsFd for Listener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl Listener {
    /// Answers what is asked, if something is.
    pub fn answer(&self) -> io::Result<Answered> {
        match self.wait(Timespec { tv_sec: 0, tv_nsec: 0 })? {
            Waited::InVain => Ok(Answered::Nothing),
            Waited::Gone => Ok(Answered::Gone),
            Waited::Question => match self.ask()? {
                None => Ok(Answered::Nothing),
                Some(question) => self.decide(&question),
            },
        }
    }

    /// The first thing that a program does is to be executed.
    pub(super) fn admit_program(self) -> io::Result<Self> {
        match self.wait(START_POLL)? {
            Waited::Question => {}
            Waited::InVain | Waited::Gone => return Err(io::ErrorKind::TimedOut.into()),
        }
        let question = self.ask()?.ok_or(io::ErrorKind::NotFound)?;
        if i64::from(question.data.nr) != libc::SYS_execve {
            return Err(io::Error::other("a confined program began with another call"));
        }
        let flags = u32::try_from(SECCOMP_USER_NOTIF_FLAG_CONTINUE).expect("a small flag");
        self.reply(seccomp_notif_resp { id: question.id, val: 0, error: 0, flags })?;
        Ok(self)
    }

    fn decide(&self, question: &seccomp_notif) -> io::Result<Answered> {
        match i64::from(question.data.nr) {
            libc::SYS_openat => {
                self.hand_device(question.id)?;
                Ok(Answered::Device)
            }
            // The device is made already.
            libc::SYS_ioctl => {
                self.reply(seccomp_notif_resp { id: question.id, val: 0, error: 0, flags: 0 })?;
                Ok(Answered::Other)
            }
            _ => {
                let error = -EPERM;
                self.reply(seccomp_notif_resp { id: question.id, val: 0, error, flags: 0 })?;
                Ok(Answered::Other)
            }
        }
    }

    fn wait(&self, most: Timespec) -> io::Result<Waited> {
        let mut ready = [PollFd::new(&self.fd, PollFlags::IN)];
        retry_on_intr(|| poll(&mut ready, Some(&most)))?;
        let found = ready[0].revents();
        if found.contains(PollFlags::IN) {
            return Ok(Waited::Question);
        }
        let gone = found.intersects(PollFlags::HUP | PollFlags::ERR);
        Ok(if gone { Waited::Gone } else { Waited::InVain })
    }

    /// Whoever asked may be dead already.
    fn ask(&self) -> io::Result<Option<seccomp_notif>> {
        // SAFETY: every field is a number, for which zeroes are a value; the kernel wants zeroes.
        let mut question: Question = unsafe { MaybeUninit::zeroed().assume_init() };
        match self.control(SECCOMP_IOCTL_NOTIF_RECV, &mut question) {
            Ok(()) => Ok(Some(question.notif)),
            Err(error) if error.raw_os_error() == Some(Errno::NOENT.raw_os_error()) => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn reply(&self, mut reply: seccomp_notif_resp) -> io::Result<()> {
        unless_dead(self.control(SECCOMP_IOCTL_NOTIF_SEND, &mut reply))
    }

    fn hand_device(&self, id: u64) -> io::Result<()> {
        let mut handed = seccomp_notif_addfd {
            id,
            flags: u32::try_from(SECCOMP_ADDFD_FLAG_SEND).expect("a small flag"),
            srcfd: self.device.as_raw_fd().cast_unsigned(),
            newfd: 0,
            newfd_flags: libc::O_CLOEXEC.cast_unsigned(),
        };
        // Its answer is the descriptor's number there.
        unless_dead(self.control(SECCOMP_IOCTL_NOTIF_ADDFD, &mut handed))
    }

    fn control<T>(&self, request: libc::Ioctl, argument: &mut T) -> io::Result<()> {
        // SAFETY: each request above is called with the structure of its own, which the kernel
        // reads and writes within its size; for a question there is room to spare.
        let result = unsafe { libc::ioctl(self.fd.as_raw_fd(), request, &raw mut *argument) };
        if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
    }
}

enum Waited {
    Question,
    InVain,
    Gone,
}

fn unless_dead(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(error) if error.raw_os_error() == Some(Errno::NOENT.raw_os_error()) => Ok(()),
        other => other,
    }
}

/// Passes a listener on. Allocates nothing.
pub(super) fn send(socket: BorrowedFd<'_>, listener: &OwnedFd) -> io::Result<()> {
    let fds = [listener.as_fd()];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    control.push(SendAncillaryMessage::ScmRights(&fds));
    sendmsg(socket, &[IoSlice::new(&[0])], &mut control, SendFlags::NOSIGNAL)?;
    Ok(())
}

/// Takes the listener that the child passes on.
pub(super) fn receive(socket: &UnixStream, device: OwnedFd) -> io::Result<Listener> {
    socket.set_read_timeout(Some(START))?;
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let mut byte = [0];
    retry_on_intr(|| {
        let mut byte = [IoSliceMut::new(&mut byte)];
        recvmsg(socket, &mut byte, &mut control, RecvFlags::CMSG_CLOEXEC)
    })?;
    let fd = control.drain().find_map(|message| match message {
        RecvAncillaryMessage::ScmRights(mut fds) => fds.next(),
        _ => None,
    });
    let fd = fd.ok_or(io::ErrorKind::UnexpectedEof)?;
    Ok(Listener { fd, device })
}

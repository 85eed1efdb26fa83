//! The system calls that moving packets takes, and what a thread needs to begin and to end.
//!
//! There is none among them that opens a file, starts a program or makes memory executable. The
//! one kind of socket that can be made is UDP, to hear a peer that moved.

use egress_linux::seccomp::{Allowed, ConfineError, confine};
use libc::{
    AF_INET, AF_INET6, F_DUPFD_CLOEXEC, F_GETFD, F_GETFL, F_SETFL, FIONBIO, PR_SET_NAME, PROT_EXEC,
    SOCK_CLOEXEC, SOCK_DGRAM, SOCK_NONBLOCK,
};

/// Gives up every other system call, in every thread of this process.
pub fn give_up_other_calls() -> Result<(), ConfineError> {
    let always = PACKETS.iter().chain(CONTROL).chain(MEMORY).chain(THREADS);
    let mut allowed: Vec<_> = always.map(|number| Allowed::always(*number)).collect();
    allowed.extend(conditional());
    confine(&allowed)
}

/// Devices, sockets and waiting for them.
const PACKETS: &[i64] = &[
    libc::SYS_read,
    libc::SYS_write,
    libc::SYS_writev,
    libc::SYS_recvmmsg,
    libc::SYS_sendmmsg,
    libc::SYS_recvfrom,
    libc::SYS_sendto,
    libc::SYS_epoll_ctl,
    libc::SYS_epoll_pwait,
    libc::SYS_epoll_pwait2,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_epoll_wait,
    libc::SYS_clock_gettime,
    libc::SYS_getrandom,
];

/// Control's requests, and the descriptors that come with them.
const CONTROL: &[i64] = &[
    libc::SYS_listen,
    libc::SYS_accept4,
    libc::SYS_recvmsg,
    libc::SYS_sendmsg,
    libc::SYS_ppoll,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_poll,
    libc::SYS_getsockopt,
    libc::SYS_setsockopt,
    libc::SYS_getsockname,
    libc::SYS_bind,
    libc::SYS_connect,
    libc::SYS_close,
    libc::SYS_getpid,
    libc::SYS_clock_nanosleep,
    libc::SYS_nanosleep,
];

/// The allocator's; the others are conditional.
const MEMORY: &[i64] = &[libc::SYS_brk, libc::SYS_munmap, libc::SYS_mremap, libc::SYS_madvise];

/// Threads that begin while this is given up, that wait for each other, that end.
const THREADS: &[i64] = &[
    libc::SYS_futex,
    libc::SYS_sched_yield,
    libc::SYS_sched_getaffinity,
    libc::SYS_gettid,
    libc::SYS_set_robust_list,
    libc::SYS_rseq,
    libc::SYS_sigaltstack,
    libc::SYS_rt_sigprocmask,
    libc::SYS_rt_sigreturn,
    libc::SYS_restart_syscall,
    libc::SYS_exit,
    libc::SYS_exit_group,
];

#[allow(clippy::cast_sign_loss, reason = "the kernel compares bits")]
fn conditional() -> Vec<Allowed> {
    let calls = [F_DUPFD_CLOEXEC, F_GETFD, F_GETFL, F_SETFL]
        .map(|operation| Allowed::always(libc::SYS_fcntl).with(1, operation as u32));
    let memory = [libc::SYS_mmap, libc::SYS_mprotect]
        .map(|number| Allowed::always(number).with_bits(2, PROT_EXEC as u32, 0));
    let kind = !(SOCK_CLOEXEC | SOCK_NONBLOCK) as u32;
    let sockets = [AF_INET, AF_INET6].map(|family| {
        let socket = Allowed::always(libc::SYS_socket).with(0, family as u32);
        socket.with_bits(1, kind, SOCK_DGRAM as u32)
    });
    #[allow(clippy::cast_possible_truncation, reason = "a request has 32 bits")]
    let others = [
        Allowed::always(libc::SYS_ioctl).with(1, FIONBIO as u32),
        Allowed::always(libc::SYS_prctl).with(0, PR_SET_NAME as u32),
        // A panic's abort.
        Allowed::always(libc::SYS_tgkill).with(0, std::process::id()),
    ];
    calls.into_iter().chain(memory).chain(sockets).chain(others).collect()
}

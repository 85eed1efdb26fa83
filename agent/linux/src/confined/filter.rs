//! Which system calls a confined program may make, as the kernel's filter (`seccomp(2)`).

use std::{
    io,
    os::fd::{FromRawFd, OwnedFd},
};

use libc::{
    AF_INET, AF_INET6, AF_NETLINK, AF_UNIX, BPF_ABS, BPF_ALU, BPF_AND, BPF_JEQ, BPF_JMP, BPF_K,
    BPF_LD, BPF_RET, BPF_W, EACCES, EAFNOSUPPORT, ENOSYS, ENOTTY, O_ACCMODE, O_APPEND, O_CREAT,
    O_RDWR, O_TRUNC, SECCOMP_RET_ALLOW, SECCOMP_RET_ERRNO, SECCOMP_RET_KILL_PROCESS,
    SECCOMP_RET_USER_NOTIF, SYS_execve, SYS_ioctl, SYS_openat, SYS_socket, TCGETS, TUNSETIFF,
    sock_filter, sock_fprog,
};

/// `AUDIT_ARCH_*` of linux/audit.h.
#[cfg(target_arch = "x86_64")]
const ARCH: u32 = 0xc000_003e;
/// `AUDIT_ARCH_*` of linux/audit.h.
#[cfg(target_arch = "aarch64")]
const ARCH: u32 = 0xc000_00b7;

/// Where `struct seccomp_data` has the call's number.
const NUMBER: u32 = 0;
/// Where it has the architecture.
const ARCHITECTURE: u32 = 4;

/// Of an open's flags, those that say what is to be done to the file.
const WRITES: i32 = O_ACCMODE | O_CREAT | O_TRUNC | O_APPEND;

/// What a program that computes and speaks over the network does: measured with openvpn 2.6, and
/// what other versions of its libraries may use instead.
const ALLOWED: &[i64] = &[
    libc::SYS_read,
    libc::SYS_write,
    libc::SYS_readv,
    libc::SYS_writev,
    libc::SYS_pread64,
    libc::SYS_close,
    libc::SYS_lseek,
    libc::SYS_fcntl,
    libc::SYS_fstat,
    libc::SYS_newfstatat,
    libc::SYS_statx,
    libc::SYS_fstatfs,
    libc::SYS_statfs,
    libc::SYS_faccessat,
    libc::SYS_faccessat2,
    libc::SYS_readlinkat,
    libc::SYS_getdents64,
    libc::SYS_getcwd,
    libc::SYS_dup,
    libc::SYS_dup3,
    libc::SYS_brk,
    libc::SYS_mmap,
    libc::SYS_munmap,
    libc::SYS_mprotect,
    libc::SYS_mremap,
    libc::SYS_madvise,
    libc::SYS_set_tid_address,
    libc::SYS_set_robust_list,
    libc::SYS_rseq,
    libc::SYS_prlimit64,
    libc::SYS_getrandom,
    libc::SYS_prctl,
    libc::SYS_futex,
    libc::SYS_rt_sigaction,
    libc::SYS_rt_sigprocmask,
    libc::SYS_rt_sigreturn,
    libc::SYS_sigaltstack,
    libc::SYS_restart_syscall,
    libc::SYS_bind,
    libc::SYS_connect,
    libc::SYS_setsockopt,
    libc::SYS_getsockopt,
    libc::SYS_getsockname,
    libc::SYS_getpeername,
    libc::SYS_sendmsg,
    libc::SYS_recvmsg,
    libc::SYS_sendto,
    libc::SYS_recvfrom,
    libc::SYS_sendmmsg,
    libc::SYS_shutdown,
    libc::SYS_ppoll,
    libc::SYS_pselect6,
    libc::SYS_epoll_create1,
    libc::SYS_epoll_ctl,
    libc::SYS_epoll_pwait,
    libc::SYS_nanosleep,
    libc::SYS_clock_nanosleep,
    libc::SYS_clock_gettime,
    libc::SYS_clock_getres,
    libc::SYS_gettimeofday,
    libc::SYS_sysinfo,
    libc::SYS_uname,
    libc::SYS_getpid,
    libc::SYS_gettid,
    libc::SYS_getppid,
    libc::SYS_getuid,
    libc::SYS_geteuid,
    libc::SYS_getgid,
    libc::SYS_getegid,
    libc::SYS_getgroups,
    libc::SYS_sched_yield,
    libc::SYS_sched_getaffinity,
    libc::SYS_umask,
    libc::SYS_exit,
    libc::SYS_exit_group,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_arch_prctl,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_access,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_readlink,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_stat,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_poll,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_select,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_epoll_wait,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_epoll_create,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_dup2,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_time,
];

/// Whoever tries one of these is up to something: the process is killed. Every other call that is
/// not allowed fails as if the kernel did not have it.
const KILLED: &[i64] = &[
    libc::SYS_clone,
    libc::SYS_execveat,
    libc::SYS_ptrace,
    libc::SYS_process_vm_readv,
    libc::SYS_process_vm_writev,
    libc::SYS_mount,
    libc::SYS_umount2,
    libc::SYS_pivot_root,
    libc::SYS_chroot,
    libc::SYS_setns,
    libc::SYS_unshare,
    libc::SYS_bpf,
    libc::SYS_perf_event_open,
    libc::SYS_userfaultfd,
    libc::SYS_io_uring_setup,
    libc::SYS_init_module,
    libc::SYS_finit_module,
    libc::SYS_kexec_load,
    libc::SYS_keyctl,
    libc::SYS_add_key,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_fork,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_vfork,
];

/// The filter, ready to be put in place.
pub(super) struct Rules(Vec<sock_filter>);

/// Opening to read is allowed, opening to write is not. A file to read *and* write is what a
/// tunnel's device is opened as: it, the device's making and the program's own start are for the
/// listener to answer. Only values decide, never memory that the program could change meanwhile.
pub(super) fn rules() -> Rules {
    let mut rules = Rules(Vec::with_capacity(2 * (ALLOWED.len() + KILLED.len()) + 64));
    rules.load(ARCHITECTURE);
    rules.unless(ARCH, SECCOMP_RET_KILL_PROCESS);
    rules.load(NUMBER);
    let open = [
        load(argument(2)),
        statement(BPF_ALU | BPF_AND | BPF_K, WRITES.cast_unsigned()),
        jump(0, 0, 1),
        give(SECCOMP_RET_ALLOW),
        jump(O_RDWR.cast_unsigned(), 0, 1),
        give(SECCOMP_RET_USER_NOTIF),
        give(error(EACCES)),
    ];
    rules.when(SYS_openat, &open);
    let control = [
        load(argument(1)),
        jump(bits(TUNSETIFF), 0, 1),
        give(SECCOMP_RET_USER_NOTIF),
        jump(bits(TCGETS), 0, 1),
        give(SECCOMP_RET_ALLOW),
        give(error(ENOTTY)),
    ];
    rules.when(SYS_ioctl, &control);
    let families = [
        load(argument(0)),
        jump(AF_INET.cast_unsigned(), 3, 0),
        jump(AF_INET6.cast_unsigned(), 2, 0),
        jump(AF_UNIX.cast_unsigned(), 1, 0),
        jump(AF_NETLINK.cast_unsigned(), 0, 1),
        give(SECCOMP_RET_ALLOW),
        give(error(EAFNOSUPPORT)),
    ];
    rules.when(SYS_socket, &families);
    rules.when(SYS_execve, &[give(SECCOMP_RET_USER_NOTIF)]);
    for number in ALLOWED {
        rules.when(*number, &[give(SECCOMP_RET_ALLOW)]);
    }
    for number in KILLED {
        rules.when(*number, &[give(SECCOMP_RET_KILL_PROCESS)]);
    }
    rules.0.push(give(error(ENOSYS)));
    rules
}

impl Rules {
    /// Confines the calling thread, which must not be able to gain privileges, and returns where
    /// it is heard. Allocates nothing.
    pub fn install(&self) -> io::Result<OwnedFd> {
        let program = sock_fprog {
            len: u16::try_from(self.0.len())
                .map_err(|_| io::Error::from_raw_os_error(libc::E2BIG))?,
            filter: self.0.as_ptr().cast_mut(),
        };
        // SAFETY: the kernel reads the program, which `self` keeps for longer than the call.
        let fd = unsafe {
            libc::syscall(
                libc::SYS_seccomp,
                libc::SECCOMP_SET_MODE_FILTER,
                libc::SECCOMP_FILTER_FLAG_NEW_LISTENER,
                &raw const program,
            )
        };
        let fd =
            i32::try_from(fd).ok().filter(|fd| *fd >= 0).ok_or_else(io::Error::last_os_error)?;
        // SAFETY: the kernel has just made this descriptor for us.
        Ok(unsafe { OwnedFd::from_raw_fd(fd) })
    }

    fn load(&mut self, offset: u32) {
        self.0.push(load(offset));
    }

    fn unless(&mut self, value: u32, outcome: u32) {
        self.0.extend([jump(value, 1, 0), give(outcome)]);
    }

    /// What decides about this call. It must come to an end.
    fn when(&mut self, number: i64, block: &[sock_filter]) {
        let past = u8::try_from(block.len()).expect("blocks are short");
        self.0.push(jump(u32::try_from(number).expect("numbers of calls are small"), 0, past));
        self.0.extend_from_slice(block);
    }
}

fn statement(code: u32, value: u32) -> sock_filter {
    sock_filter { code: u16::try_from(code).expect("codes are short"), jt: 0, jf: 0, k: value }
}

/// Loads 32 bits of what is known of the call.
fn load(offset: u32) -> sock_filter {
    statement(BPF_LD | BPF_W | BPF_ABS, offset)
}

fn give(outcome: u32) -> sock_filter {
    statement(BPF_RET | BPF_K, outcome)
}

fn error(errno: i32) -> u32 {
    SECCOMP_RET_ERRNO | errno.cast_unsigned()
}

/// Goes so many statements on: where what was loaded is this value, and where it is not.
fn jump(value: u32, equal: u8, different: u8) -> sock_filter {
    sock_filter { jt: equal, jf: different, ..statement(BPF_JMP | BPF_JEQ | BPF_K, value) }
}

/// Where the lower half of an argument is, on a little-endian machine.
fn argument(index: u32) -> u32 {
    16 + 8 * index
}

/// As the kernel compares it.
fn bits(request: libc::Ioctl) -> u32 {
    u32::try_from(request).expect("requests have 32 bits")
}

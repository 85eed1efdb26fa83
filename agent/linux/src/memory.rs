//! How this process has its memory, and gives it back to the kernel.

use std::io;

/// Lets all threads that are to come take their memory from the first one's. glibc gives others
/// pools of their own, and before it makes one of those smaller it reads a file below /proc, which
/// a confined process must not. Does nothing where the C library is not glibc.
pub fn share_one_pool() -> io::Result<()> {
    #[cfg(target_env = "gnu")]
    // SAFETY: it sets a number of the allocator's, under its own lock.
    if unsafe { libc::mallopt(libc::M_ARENA_MAX, 1) } == 0 {
        return Err(io::Error::other("the allocator refuses to have one pool only"));
    }
    Ok(())
}

/// Gives back what was freed and is kept for later: after something large, the allocator keeps it
/// all. Takes milliseconds. Does nothing where the C library is not glibc.
pub fn give_back() {
    #[cfg(target_env = "gnu")]
    // SAFETY: it takes the allocator's own locks, and touches nothing that is in use.
    unsafe {
        libc::malloc_trim(0);
    }
}

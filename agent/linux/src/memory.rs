//! Memory that this process has no use for, given back to the kernel.

/// Gives back what was freed and is kept for later: after something large, the allocator keeps it
/// all. Takes milliseconds. Does nothing where the C library is not glibc.
pub fn give_back() {
    #[cfg(target_env = "gnu")]
    // SAFETY: it takes the allocator's own locks, and touches nothing that is in use.
    unsafe {
        libc::malloc_trim(0);
    }
}

//! How the C library keeps what was freed.
//!
//! It gives every thread an arena of its own, and what a thread freed stays with that
//! arena. The runtime's tasks move between threads, so a large document would in time
//! leave its room in each of them.

/// As many as threads work at once on a small machine.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
const ARENAS: i32 = 2;

/// Has all threads share few arenas. Before there is a second thread.
#[cfg_attr(
    all(target_os = "linux", target_env = "gnu"),
    expect(unsafe_code, reason = "the C library has no other way to be told")
)]
pub fn share_arenas() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    // SAFETY: `mallopt` takes two numbers, and no other thread is there yet.
    let _ = unsafe { libc::mallopt(libc::M_ARENA_MAX, ARENAS) };
}

//! Keeps a process from inheriting a terminal that is being opened.
//!
//! The library marks the master of a terminal as closed in new processes only after it was opened. In
//! between, a process that another thread starts would inherit it: it could read and type what is not
//! its own, and the terminal's end would hang up nobody. Where a keeper holds the terminal, it has one
//! thread. A server without keepers has many.

use std::sync::{PoisonError, RwLock};

static INHERITANCE: RwLock<()> = RwLock::new(());

/// Starts a process: while none is opened.
pub(super) fn starting<T>(start: impl FnOnce() -> T) -> T {
    let _shared = INHERITANCE.read().unwrap_or_else(PoisonError::into_inner);
    start()
}

/// Opens what new processes must not inherit: while none is started.
#[cfg(target_os = "linux")]
pub(super) fn opening<T>(open: impl FnOnce() -> T) -> T {
    let _alone = INHERITANCE.write().unwrap_or_else(PoisonError::into_inner);
    open()
}

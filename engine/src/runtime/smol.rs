//! The engine on smol's global executor.

use super::Runtime;
use futures::future::BoxFuture;
use rejoin_core::Timestamp;
use std::sync::LazyLock;
#[cfg(not(target_os = "linux"))]
use std::time::Instant;
use std::time::{Duration, SystemTime};

/// Which boot of the machine this is. None if Linux does not say.
#[cfg(target_os = "linux")]
static BOOT: LazyLock<Option<[u8; 16]>> = LazyLock::new(|| {
    let id = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    let digits = id.trim().replace('-', "");
    u128::from_str_radix(&digits, 16)
        .ok()
        .map(u128::to_be_bytes)
});

/// When the runtime was first asked for the time.
#[cfg(not(target_os = "linux"))]
#[expect(
    clippy::disallowed_methods,
    reason = "the one place that reads the clock"
)]
static BEGIN: LazyLock<Instant> = LazyLock::new(Instant::now);

/// smol's global executor and timers, and a new thread for each future that may block.
///
/// ```
/// use rejoin_engine::{Runtime, SmolRuntime};
/// use std::time::Duration;
///
/// smol::block_on(SmolRuntime.timer(Duration::from_millis(1)));
/// let begin = SmolRuntime.elapsed();
/// assert!(SmolRuntime.now().as_millis() > 0 && SmolRuntime.elapsed() >= begin);
/// assert_ne!(SmolRuntime.random(), SmolRuntime.random());
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct SmolRuntime;

impl Runtime for SmolRuntime {
    #[expect(
        clippy::disallowed_methods,
        reason = "the one place that reads the clock"
    )]
    fn now(&self) -> Timestamp {
        let since = SystemTime::now()
            .duration_since(SystemTime::UNIX_EPOCH)
            .unwrap_or_default();
        Timestamp::from_millis(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
    }

    /// The time since the machine was started, without that in which it was suspended.
    #[cfg(target_os = "linux")]
    fn elapsed(&self) -> Duration {
        use rustix::time::{ClockId, clock_gettime};
        Duration::try_from(clock_gettime(ClockId::Monotonic)).unwrap_or_default()
    }

    /// The time since it was first asked for.
    #[cfg(not(target_os = "linux"))]
    fn elapsed(&self) -> Duration {
        BEGIN.elapsed()
    }

    #[cfg(target_os = "linux")]
    fn boot(&self) -> Option<[u8; 16]> {
        *BOOT
    }

    fn timer(&self, wait: Duration) -> BoxFuture<'static, ()> {
        Box::pin(async move {
            smol::Timer::after(wait).await;
        })
    }

    fn spawn(&self, future: BoxFuture<'static, ()>) {
        smol::spawn(future).detach();
    }

    /// # Panics
    ///
    /// When the operating system can't start a thread.
    fn spawn_dedicated(&self, name: &'static str, future: BoxFuture<'static, ()>) {
        std::thread::Builder::new()
            .name(name.into())
            // Not `smol::block_on`, which may poll the reactor for other threads: a dedicated future
            // waits for channels and timers only.
            .spawn(move || smol::future::block_on(future))
            .expect("a thread can be started");
    }

    /// # Panics
    ///
    /// When the operating system has no random bytes.
    fn random(&self) -> [u8; 16] {
        let mut bytes = [0; 16];
        getrandom::fill(&mut bytes).expect("the operating system has random bytes");
        bytes
    }
}

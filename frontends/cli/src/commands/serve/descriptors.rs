//! File descriptors. Raises the limit of the process, and divides them: connections get what the log,
//! its readers and jobs leave, so that no number of clients can take the server's own files from it.

use super::limits::{ADMIN_CONNECTIONS, RESERVED_LEAST, RESERVED_SHARE};
use rustix::process::{Resource, getrlimit, setrlimit};

/// Raises the soft limit of open files to the hard one. Returns how many there may be; `None` means any
/// number.
pub(super) fn raise_limit() -> Option<usize> {
    let mut limit = getrlimit(Resource::Nofile);
    if limit.current != limit.maximum {
        let raised = rustix::process::Rlimit {
            current: limit.maximum,
            ..limit
        };
        // macOS has a lower limit than it says; the soft one then stays as it is.
        match setrlimit(Resource::Nofile, raised) {
            Ok(()) => limit = raised,
            Err(error) => tracing::warn!(%error, "cannot raise the limit of open files"),
        }
    }
    let limit = limit.current?;
    Some(usize::try_from(limit).unwrap_or(usize::MAX))
}

/// How many connections each address may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Connections {
    /// At an address of frontends.
    pub(super) each: usize,
    /// At the separate address of health and metrics.
    pub(super) admin: usize,
}

impl Connections {
    /// Divides `descriptors` between everything else and connections at `addresses` addresses of
    /// frontends, at most `wanted` at each.
    pub(super) fn divide(
        descriptors: Option<usize>,
        addresses: usize,
        has_admin: bool,
        wanted: usize,
    ) -> Self {
        let admin = if has_admin { ADMIN_CONNECTIONS } else { 0 };
        let Some(descriptors) = descriptors else {
            return Self {
                each: wanted,
                admin: admin.min(wanted),
            };
        };
        let reserved = (descriptors / RESERVED_SHARE).max(RESERVED_LEAST);
        let left = descriptors - reserved.min(descriptors / 2);
        let admin = admin.min(wanted).min(left / 4);
        let each = (left - admin) / addresses.max(1);
        let divided = Self {
            each: each.clamp(1, wanted.max(1)),
            admin,
        };
        tracing::info!(
            open_files = descriptors,
            reserved = descriptors - left,
            connections = divided.each,
            "divided the open files"
        );
        if divided.each < wanted {
            tracing::warn!(
                max_connections = wanted,
                connections = divided.each,
                "the limit of open files allows fewer connections: raise it (ulimit -n)"
            );
        }
        divided
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn divide(descriptors: usize, addresses: usize, has_admin: bool) -> (usize, usize) {
        let divided = Connections::divide(Some(descriptors), addresses, has_admin, 10_000);
        (divided.each, divided.admin)
    }

    #[test]
    fn connections_get_what_the_reserve_leaves() {
        assert_eq!(divide(1024, 1, false), (768, 0));
        assert_eq!(divide(1024, 3, true), (234, 64));
        assert_eq!(divide(20_000, 1, false), (10_000, 0));
        assert_eq!(divide(20_000, 3, false), (5_000, 0));
        assert_eq!(divide(200, 1, true), (75, 25));
        let any = Connections::divide(None, 2, true, 10_000);
        assert_eq!((any.each, any.admin), (10_000, 64));
    }

    #[test]
    fn connections_and_the_reserve_never_exceed_the_limit() {
        for descriptors in [16, 64, 100, 256, 1024, 4096, 65_536] {
            for addresses in 1..=3 {
                let (each, admin) = divide(descriptors, addresses, true);
                assert!(each > 0);
                assert!(
                    each * addresses + admin <= descriptors / 2 + descriptors / 4,
                    "{descriptors} for {addresses}: {each} and {admin}"
                );
            }
        }
    }
}

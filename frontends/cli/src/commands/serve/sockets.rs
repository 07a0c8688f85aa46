//! The places of the server's Unix sockets, with their mode and owner.

use crate::settings::{Address, Settings};
use rejoin_http::{ListenAddress, UnixSocket};
use std::process::{Command, Stdio};

/// Who may connect to the server's Unix sockets.
#[derive(Debug)]
pub(super) struct Sockets {
    mode: u32,
    user: Option<u32>,
    group: Option<u32>,
}

/// The name of an owner is unknown.
#[derive(Debug, thiserror::Error)]
#[error("socket-owner: there is no {0} called {1}")]
pub(super) struct UnknownOwner(&'static str, String);

impl Sockets {
    pub(super) fn of(settings: &Settings) -> Result<Self, UnknownOwner> {
        let (user, group) = settings.socket_owner();
        let look_up = |database, what, name: &str| {
            let found = id(database, name);
            found.ok_or_else(|| UnknownOwner(what, name.to_owned()))
        };
        Ok(Self {
            mode: settings.socket_mode(),
            user: user.map(|it| look_up("passwd", "user", it)).transpose()?,
            group: group.map(|it| look_up("group", "group", it)).transpose()?,
        })
    }

    /// Where to listen.
    pub(super) fn place(&self, address: Address) -> ListenAddress {
        match address {
            Address::Tcp(address) => ListenAddress::Tcp(address),
            Address::Unix(path) => ListenAddress::Unix(UnixSocket {
                path,
                mode: self.mode,
                user: self.user,
                group: self.group,
            }),
        }
    }
}

/// The ID of a user or a group: a number, or the third field of its entry (`name:password:id:…`).
fn id(database: &str, name: &str) -> Option<u32> {
    if let Ok(id) = name.parse() {
        return Some(id);
    }
    let mut getent = Command::new("getent");
    getent.args([database, "--", name]).stdin(Stdio::null());
    let entry = getent.stderr(Stdio::null()).output().ok()?.stdout;
    let entry = String::from_utf8(entry).ok()?;
    entry.lines().next()?.split(':').nth(2)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_owner_is_a_number_or_a_name() {
        assert_eq!(id("passwd", "4711"), Some(4711));
        assert_eq!(id("passwd", "root"), Some(0));
        assert_eq!(id("group", "root"), Some(0));
        assert_eq!(id("passwd", "nobody-of-this-name"), None);
    }
}

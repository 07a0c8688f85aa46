//! Where a client is: what logs show, and what waits after failed logins are counted by.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

/// Where a client is.
///
/// ```
/// use rejoin_http::ClientAddress;
///
/// let here = ClientAddress::Unix { user: Some(1000) };
/// assert_eq!(here.to_string(), "unix:uid=1000");
/// assert!(here.ip().is_loopback());
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ClientAddress {
    /// At the other end of a TCP connection.
    Tcp(SocketAddr),
    /// Behind a trusted proxy, which does not say from which port.
    Forwarded(IpAddr),
    /// On this machine, at the other end of a Unix socket.
    Unix {
        /// The ID of the user as who it runs, if the system says so.
        user: Option<u32>,
    },
}

impl ClientAddress {
    /// The address without a port; of a Unix socket the loopback address.
    #[must_use]
    pub fn ip(&self) -> IpAddr {
        match self {
            Self::Tcp(address) => address.ip(),
            Self::Forwarded(ip) => *ip,
            Self::Unix { .. } => Ipv4Addr::LOCALHOST.into(),
        }
    }
}

impl From<SocketAddr> for ClientAddress {
    fn from(address: SocketAddr) -> Self {
        Self::Tcp(address)
    }
}

impl fmt::Display for ClientAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Forwarded(ip) => ip.fmt(f),
            Self::Unix { user: Some(user) } => write!(f, "unix:uid={user}"),
            Self::Unix { user: None } => f.write_str("unix"),
        }
    }
}

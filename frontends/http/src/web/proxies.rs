//! Proxies in front of the server: which ones are trusted, and what they say of a request.
//!
//! A header is only what a client sent, unless a trusted proxy wrote it. So `X-Forwarded-For` is read
//! from its end, where the nearest proxy appends, up to the first address that is no trusted proxy's;
//! and nothing is read of a request that comes from elsewhere.
//!
//! `Forwarded` (RFC 7239) is not read. It says the same again, and a proxy that writes one of the two
//! passes the other on as the client sent it.

use crate::limits::{FORWARDED_HOPS, PREFIX_CHARS};
use crate::web::client_address::ClientAddress;
use http::{HeaderMap, HeaderName};
use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;
use std::sync::Arc;

/// The proxies that are believed when they say for whom they ask, and the path at which they have the
/// server.
///
/// ```
/// use rejoin_http::Proxies;
///
/// let proxies = Proxies::default().trust("10.0.0.0/8".parse()?).mounted_at("/rejoin".parse()?);
/// # let _ = proxies;
/// # Ok::<_, Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Proxies {
    trusted: Vec<TrustedProxy>,
    prefix: Option<PathPrefix>,
}

impl Proxies {
    /// Believes one more proxy, or all of a network.
    #[must_use]
    pub fn trust(mut self, proxy: TrustedProxy) -> Self {
        self.trusted.push(proxy);
        self
    }

    /// The path at which clients have the server. It is taken from the paths of requests, if it is there,
    /// and links have it. Without it, a trusted proxy may say it in `X-Forwarded-Prefix`.
    #[must_use]
    pub fn mounted_at(mut self, prefix: PathPrefix) -> Self {
        self.prefix = Some(prefix).filter(|prefix| !prefix.is_root());
        self
    }

    /// The path that is set.
    pub(crate) fn prefix(&self) -> Option<&PathPrefix> {
        self.prefix.as_ref()
    }

    fn trusts(&self, address: &ClientAddress) -> bool {
        self.trusted.iter().any(|proxy| match (proxy, address) {
            (TrustedProxy::Unix, ClientAddress::Unix { .. }) => true,
            (TrustedProxy::Unix, _)
            | (TrustedProxy::Network { .. }, ClientAddress::Unix { .. }) => false,
            (network, address) => network.contains(address.ip()),
        })
    }

    /// What the proxy that sent a request says of it; none if it is not trusted or says nothing.
    pub(crate) fn forwarded(&self, peer: &ClientAddress, headers: &HeaderMap) -> Option<Forwarded> {
        if self.trusted.is_empty() || !self.trusts(peer) {
            return None;
        }
        let prefix = match self.prefix {
            Some(_) => None,
            None => only(headers, &X_FORWARDED_PREFIX).and_then(|prefix| prefix.parse().ok()),
        };
        let forwarded = Forwarded {
            client: self.client(headers),
            encrypted: last(headers, &X_FORWARDED_PROTO).map(|it| it.eq_ignore_ascii_case("https")),
            prefix: prefix.filter(|prefix: &PathPrefix| !prefix.is_root()),
        };
        let says_nothing = forwarded.client.is_none()
            && forwarded.encrypted.is_none()
            && forwarded.prefix.is_none();
        (!says_nothing).then_some(forwarded)
    }

    /// The address nearest to the server that is not a trusted proxy's, or else the farthest.
    fn client(&self, headers: &HeaderMap) -> Option<ClientAddress> {
        let mut client = None;
        let values = headers.get_all(&X_FORWARDED_FOR).iter().rev();
        let hops = values.flat_map(|value| value.to_str().unwrap_or("?").rsplit(','));
        for hop in hops.take(FORWARDED_HOPS) {
            // What is behind something that is no address can't be believed.
            let Some(ip) = ip_of(hop.trim()) else {
                return client;
            };
            let address = ClientAddress::Forwarded(ip);
            client = Some(address);
            if !self.trusts(&address) {
                return client;
            }
        }
        client
    }
}

/// What a trusted proxy says of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Forwarded {
    pub(crate) client: Option<ClientAddress>,
    /// Whether the client uses TLS.
    pub(crate) encrypted: Option<bool>,
    pub(crate) prefix: Option<PathPrefix>,
}

/// A proxy that is believed: an address, a network (`10.0.0.0/8`), or `unix` for every client of the
/// server's Unix socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TrustedProxy {
    /// All addresses that begin with the same bits.
    Network {
        /// One of them.
        address: IpAddr,
        /// How many bits are the same.
        bits: u8,
    },
    /// Clients of a Unix socket.
    Unix,
}

impl TrustedProxy {
    fn contains(self, ip: IpAddr) -> bool {
        let Self::Network { address, bits } = self else {
            return false;
        };
        let differ = |one: u128, other: u128, length: u8| {
            let shift = u32::from(length - bits);
            // A shift by all bits is none.
            (one ^ other).checked_shr(shift).unwrap_or(0) != 0
        };
        match (address, ip.to_canonical()) {
            (IpAddr::V4(one), IpAddr::V4(other)) => {
                !differ(one.to_bits().into(), other.to_bits().into(), 32)
            }
            (IpAddr::V6(one), IpAddr::V6(other)) => !differ(one.to_bits(), other.to_bits(), 128),
            _ => false,
        }
    }
}

impl FromStr for TrustedProxy {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = "expected an address (192.0.2.1), a network (10.0.0.0/8) or `unix`";
        let text = text.trim();
        if text == "unix" {
            return Ok(Self::Unix);
        }
        let (address, bits) = match text.split_once('/') {
            Some((address, bits)) => (address, Some(bits)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(|_| wrong)?;
        let most = if address.is_ipv4() { 32 } else { 128 };
        let bits = match bits {
            Some(bits) => bits
                .parse()
                .ok()
                .filter(|bits| *bits <= most)
                .ok_or(wrong)?,
            None => most,
        };
        Ok(Self::Network { address, bits })
    }
}

/// The path at which clients have the server: empty, or `/` and segments of letters, digits, `-`, `_`,
/// `.` and `~`, without a slash at the end.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PathPrefix(Arc<str>);

impl PathPrefix {
    /// The prefix; empty if the server has the whole host.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    fn is_root(&self) -> bool {
        self.0.is_empty()
    }

    /// What follows the prefix in a path: it begins with a slash, or is empty if the path is the prefix.
    pub(crate) fn strip<'path>(&self, path: &'path str) -> Option<&'path str> {
        let rest = path.strip_prefix(&*self.0)?;
        (rest.is_empty() || rest.starts_with('/')).then_some(rest)
    }
}

impl FromStr for PathPrefix {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = "expected a path such as /rejoin, of letters, digits, `-`, `_`, `.` and `~`";
        let text = text.trim();
        let path = text.strip_suffix('/').unwrap_or(text);
        let is_plain =
            |it: u8| it.is_ascii_alphanumeric() || matches!(it, b'-' | b'_' | b'.' | b'~');
        // Two slashes at the start would be another host in a link.
        let is_segment = |it: &str| !matches!(it, "" | "." | "..") && it.bytes().all(is_plain);
        let is_valid = match path.strip_prefix('/') {
            Some(path) => path.split('/').all(is_segment),
            None => text == "/",
        };
        match is_valid && path.len() <= PREFIX_CHARS {
            true => Ok(Self(path.into())),
            false => Err(wrong),
        }
    }
}

impl fmt::Display for PathPrefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// An address, with a port or without.
fn ip_of(hop: &str) -> Option<IpAddr> {
    let bare = hop.strip_prefix('[').and_then(|hop| hop.strip_suffix(']'));
    let with_port = || hop.parse().ok().map(|it: std::net::SocketAddr| it.ip());
    let ip = bare.unwrap_or(hop).parse().ok().or_else(with_port)?;
    Some(IpAddr::to_canonical(&ip))
}

/// The last of the values in a list of headers: the nearest proxy's.
fn last<'headers>(headers: &'headers HeaderMap, name: &HeaderName) -> Option<&'headers str> {
    let value = headers.get_all(name).iter().next_back()?.to_str().ok()?;
    value.rsplit(',').next().map(str::trim)
}

/// The value of a header that came once.
fn only<'headers>(headers: &'headers HeaderMap, name: &HeaderName) -> Option<&'headers str> {
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (Some(value), None) => value.to_str().ok(),
        _ => None,
    }
}

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const X_FORWARDED_PREFIX: HeaderName = HeaderName::from_static("x-forwarded-prefix");

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    fn proxies(trusted: &[&str]) -> Proxies {
        let trusted = trusted.iter().map(|it| it.parse().unwrap());
        trusted.fold(Proxies::default(), Proxies::trust)
    }

    fn peer(address: &str) -> ClientAddress {
        ClientAddress::Tcp(format!("{address}:9").parse().unwrap())
    }

    fn headers(all: &[(&'static str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in all {
            headers.append(*name, HeaderValue::from_str(value).unwrap());
        }
        headers
    }

    fn client(proxies: &Proxies, hops: &[&str]) -> Option<String> {
        let hops: Vec<_> = hops.iter().map(|hop| ("x-forwarded-for", *hop)).collect();
        let forwarded = proxies.forwarded(&peer("127.0.0.1"), &headers(&hops))?;
        forwarded.client.map(|client| client.to_string())
    }

    #[test]
    fn the_client_is_the_nearest_that_is_no_trusted_proxy() {
        let trusting = proxies(&["127.0.0.1", "10.0.0.0/8"]);
        for (hops, expected) in [
            (&["203.0.113.9"][..], Some("203.0.113.9")),
            // What a client made up stands before what the proxies appended.
            (&["1.1.1.1, 203.0.113.9, 10.1.2.3"], Some("203.0.113.9")),
            (&["1.1.1.1", "203.0.113.9", "10.1.2.3"], Some("203.0.113.9")),
            (&["10.9.9.9, 10.1.2.3"], Some("10.9.9.9")),
            (&["[2001:db8::1]:443"], Some("2001:db8::1")),
            (&["203.0.113.9:4711"], Some("203.0.113.9")),
            (&["::ffff:203.0.113.9"], Some("203.0.113.9")),
            (&["1.1.1.1, unknown, 10.1.2.3"], Some("10.1.2.3")),
            (&["unknown"], None),
            (&[""], None),
        ] {
            assert_eq!(client(&trusting, hops).as_deref(), expected, "{hops:?}");
        }
        let far = vec!["10.0.0.1"; FORWARDED_HOPS + 9].join(",");
        let far = format!("203.0.113.9,{far}");
        assert_eq!(client(&trusting, &[&far]).as_deref(), Some("10.0.0.1"));
    }

    #[test]
    fn nobody_else_is_believed() {
        let said = headers(&[
            ("x-forwarded-for", "203.0.113.9"),
            ("x-forwarded-proto", "https"),
            ("x-forwarded-prefix", "/rejoin"),
        ]);
        let trusting = proxies(&["10.0.0.0/8", "2001:db8::/32"]);
        for stranger in ["127.0.0.1", "11.0.0.1", "[2001:db9::1]", "[::1]"] {
            assert_eq!(
                trusting.forwarded(&peer(stranger), &said),
                None,
                "{stranger}"
            );
        }
        for proxy in ["10.255.0.1", "[2001:db8:ffff::1]", "[::ffff:10.0.0.1]"] {
            assert!(trusting.forwarded(&peer(proxy), &said).is_some(), "{proxy}");
        }
        let unix = ClientAddress::Unix { user: None };
        assert_eq!(trusting.forwarded(&unix, &said), None);
        assert_eq!(proxies(&[]).forwarded(&peer("127.0.0.1"), &said), None);
        let said = proxies(&["unix"]).forwarded(&unix, &said).unwrap();
        assert_eq!(said.encrypted, Some(true));
        assert_eq!(said.prefix.unwrap().as_str(), "/rejoin");
        let everyone = proxies(&["0.0.0.0/0"]);
        assert!(everyone.trusts(&peer("192.0.2.1")) && !everyone.trusts(&peer("[::1]")));
    }

    #[test]
    fn a_prefix_that_is_set_is_not_for_proxies_to_say() {
        let said = headers(&[
            ("x-forwarded-prefix", "/other"),
            ("x-forwarded-proto", "http"),
        ]);
        let set = proxies(&["127.0.0.1"]).mounted_at("/rejoin".parse().unwrap());
        let forwarded = set.forwarded(&peer("127.0.0.1"), &said).unwrap();
        assert_eq!((forwarded.prefix, forwarded.encrypted), (None, Some(false)));
    }

    #[test]
    fn a_prefix_is_a_plain_path() {
        for (text, expected) in [
            ("/rejoin", "/rejoin"),
            ("/a/b-c_d.e~f/", "/a/b-c_d.e~f"),
            ("/", ""),
        ] {
            let prefix: PathPrefix = text.parse().unwrap();
            assert_eq!(prefix.as_str(), expected);
        }
        let long = format!("/{}", "a".repeat(PREFIX_CHARS));
        for wrong in [
            "",
            "rejoin",
            "//evil.example",
            "/a//b",
            "/..",
            "/a/../b",
            "/a b",
            "/a\"b",
            "/ä",
            "/a;b",
            "/%2e",
            "/a\\b",
            &long,
        ] {
            assert!(wrong.parse::<PathPrefix>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_prefix_ends_where_a_segment_does() {
        let prefix: PathPrefix = "/rejoin".parse().unwrap();
        for (path, rest) in [
            ("/rejoin/sessions", Some("/sessions")),
            ("/rejoin/", Some("/")),
            ("/rejoin", Some("")),
            ("/rejoining", None),
            ("/sessions", None),
        ] {
            assert_eq!(prefix.strip(path), rest, "{path}");
        }
    }
}

//! The check of `Host` and `Origin`, against web pages of other sites.
//!
//! A server on loopback without accounts trusts every client that reaches it, and every page in the
//! user's browser can reach it. Such a page can't choose its `Origin`, and its `Host` is the name
//! that it was loaded from, even if that name resolves to 127.0.0.1 (DNS rebinding). So both must be
//! local.

use http::uri::Authority;
use http::{HeaderMap, StatusCode, Uri, Version, header};
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Which `Host` and `Origin` a request may carry. A request without `Origin` is none of a web
/// page's and passes; `Origin: null` never does.
///
/// ```
/// use rejoin_http::HostCheck;
///
/// // behind a proxy that keeps the name it is asked for
/// let check = HostCheck::local().allow_host("rejoin.example").allow_origin("https://rejoin.example");
/// # let _ = check;
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostCheck {
    rule: Rule,
    /// Lower-case; with or without a port.
    hosts: Vec<String>,
    /// Whether every host that is an address passes.
    allows_addresses: bool,
    /// Lower-case.
    origins: Vec<String>,
    /// Whether the server is asked with `https` only.
    encrypted: bool,
}

impl HostCheck {
    /// For a server on loopback without accounts: `Host` must be local (`localhost`,
    /// `*.localhost`, 127.0.0.0/8, `[::1]`, with any port), and `Origin` local or the same host
    /// and port as `Host`.
    #[must_use]
    pub fn local() -> Self {
        Self::new(Rule::Local)
    }

    /// For a server with accounts: `Host` must be local or allowed, and `Origin` the same host and
    /// port as `Host`. A page of this machine is as foreign as any other: the browser that shows it
    /// may know a password.
    #[must_use]
    pub fn with_hosts() -> Self {
        Self::new(Rule::Hosts)
    }

    /// For a server with accounts, whatever its name: `Origin` must be the same host and port as
    /// `Host`.
    #[must_use]
    pub fn same_origin() -> Self {
        Self::new(Rule::SameOrigin)
    }

    /// Lets every well-formed `Host` and every `Origin` pass.
    #[must_use]
    pub fn none() -> Self {
        Self::new(Rule::None)
    }

    /// Lets one more host pass, `name` (with any port) or `name:port`.
    #[must_use]
    pub fn allow_host(mut self, host: &str) -> Self {
        self.hosts.push(host.to_ascii_lowercase());
        self
    }

    /// Lets an address pass as a host, with any port; the unspecified one (`0.0.0.0`, `::`) stands
    /// for every address, but for no name: pages can't be loaded from a name that has been pointed
    /// here.
    #[must_use]
    pub fn allow_address(mut self, address: IpAddr) -> Self {
        if address.is_unspecified() {
            self.allows_addresses = true;
            return self;
        }
        match address {
            IpAddr::V4(address) => self.allow_host(&address.to_string()),
            IpAddr::V6(address) => self.allow_host(&format!("[{address}]")),
        }
    }

    /// Lets one more origin pass, as browsers write it: `scheme://host`, with `:port` unless it is
    /// the scheme's own.
    #[must_use]
    pub fn allow_origin(mut self, origin: &str) -> Self {
        self.origins.push(origin.to_ascii_lowercase());
        self
    }

    fn new(rule: Rule) -> Self {
        Self {
            rule,
            hosts: Vec::new(),
            allows_addresses: false,
            origins: Vec::new(),
            encrypted: false,
        }
    }

    /// For a server that speaks `https` only: a page of the same host that came over `http`
    /// may have been changed on the way, and is of another origin.
    pub(crate) fn require_https(mut self) -> Self {
        self.encrypted = true;
        self
    }

    /// Checks a request's head. HTTP/1.0 may come without `Host`: browsers don't speak it.
    pub(crate) fn check(
        &self,
        version: Version,
        uri: &Uri,
        headers: &HeaderMap,
    ) -> Result<(), HostError> {
        let mut hosts = headers.get_all(header::HOST).iter();
        let host = match (hosts.next(), hosts.next()) {
            (Some(host), None) => Some(parse_host(host.as_bytes()).ok_or(HostError::BadHost)?),
            (None, _) if version < Version::HTTP_11 => None,
            _ => return Err(HostError::BadHost),
        };
        if self.rule == Rule::None {
            return Ok(());
        }
        if matches!(self.rule, Rule::Local | Rule::Hosts) {
            // A host in the target overrides `Host` (RFC 9112, 3.2.2). A web page can't send one, but
            // both must be allowed.
            let foreign = |host: &Authority| !is_local(host.host()) && !self.allows_host(host);
            if let Some(host) = host
                .iter()
                .chain(uri.authority())
                .find(|host| foreign(host))
            {
                return Err(HostError::ForeignHost(host.host().into()));
            }
        }
        for origin in headers.get_all(header::ORIGIN) {
            if !self.passes_origin(origin.as_bytes(), host.as_ref()) {
                return Err(HostError::ForeignOrigin);
            }
        }
        Ok(())
    }

    fn allows_host(&self, host: &Authority) -> bool {
        if self.allows_addresses && address(host.host()).is_some() {
            return true;
        }
        self.hosts.iter().any(|allowed| {
            allowed.eq_ignore_ascii_case(host.as_str()) || allowed.eq_ignore_ascii_case(host.host())
        })
    }

    fn passes_origin(&self, origin: &[u8], host: Option<&Authority>) -> bool {
        let Ok(origin) = std::str::from_utf8(origin) else {
            return false;
        };
        if self
            .origins
            .iter()
            .any(|allowed| allowed.eq_ignore_ascii_case(origin))
        {
            return true;
        }
        let Some((scheme, authority)) = origin.split_once("://") else {
            return false;
        };
        let Some(of_origin) = parse_host(authority.as_bytes()) else {
            return false;
        };
        let same_scheme = !self.encrypted || scheme.eq_ignore_ascii_case("https");
        (same_scheme
            && host.is_some_and(|host| host.as_str().eq_ignore_ascii_case(of_origin.as_str())))
            || (self.rule == Rule::Local && is_local(of_origin.host()))
    }
}

/// Why a request doesn't pass. Displays as the text of the answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum HostError {
    /// `Host` is missing, sent twice, or isn't `host[:port]`.
    BadHost,
    /// With the host's name, which parses as one.
    ForeignHost(Box<str>),
    ForeignOrigin,
}

impl HostError {
    pub(crate) fn status(&self) -> StatusCode {
        match self {
            Self::BadHost => StatusCode::BAD_REQUEST,
            Self::ForeignHost(_) | Self::ForeignOrigin => StatusCode::FORBIDDEN,
        }
    }
}

impl fmt::Display for HostError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BadHost => f.write_str("The Host header is missing, doubled or malformed."),
            Self::ForeignHost(host) => write!(
                f,
                "Host \"{host}\" isn't allowed; start the server with --allow-host {host}"
            ),
            Self::ForeignOrigin => {
                f.write_str("Requests from web pages of another origin aren't allowed.")
            }
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Rule {
    Local,
    Hosts,
    SameOrigin,
    None,
}

/// Parses `host[:port]` with nothing around it.
fn parse_host(host: &[u8]) -> Option<Authority> {
    let authority = Authority::try_from(host).ok()?;
    let (name, rest) = (authority.host(), authority.as_str());
    let port = rest.strip_prefix(name)?;
    let digits = port.strip_prefix(':').unwrap_or_default();
    let is_valid = !name.is_empty()
        && (port.is_empty() || port.starts_with(':'))
        && digits.bytes().all(|digit| digit.is_ascii_digit())
        && (digits.is_empty() || digits.parse::<u16>().is_ok());
    is_valid.then_some(authority)
}

fn is_local(name: &str) -> bool {
    if let Some(address) = address(name) {
        return address.is_loopback();
    }
    let last = name.rsplit('.').next().unwrap_or_default();
    last.eq_ignore_ascii_case("localhost")
}

/// The host as an address, if it is one and not a name.
fn address(host: &str) -> Option<IpAddr> {
    match host.strip_prefix('[') {
        Some(rest) => {
            let address = rest.strip_suffix(']')?.parse::<Ipv6Addr>();
            address.ok().map(IpAddr::V6)
        }
        None => host.parse::<Ipv4Addr>().ok().map(IpAddr::V4),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    fn judge(check: &HostCheck, host: &str, origin: Option<&str>) -> Result<(), HostError> {
        let mut headers = HeaderMap::new();
        headers.insert(header::HOST, HeaderValue::from_str(host).unwrap());
        if let Some(origin) = origin {
            headers.insert(header::ORIGIN, HeaderValue::from_str(origin).unwrap());
        }
        check.check(Version::HTTP_11, &Uri::from_static("/"), &headers)
    }

    fn foreign(host: &str) -> HostError {
        let authority = parse_host(host.as_bytes()).expect("a host");
        HostError::ForeignHost(authority.host().into())
    }

    #[test]
    fn local_hosts_pass_with_any_port() {
        for host in [
            "localhost",
            "LOCALHOST:1",
            "localhost:",
            "a.b.localhost:8563",
            "127.0.0.1",
            "127.3.2.1:80",
            "[::1]",
            "[::1]:8563",
        ] {
            assert_eq!(judge(&HostCheck::local(), host, None), Ok(()), "{host}");
        }
    }

    #[test]
    fn names_that_only_look_local_are_foreign() {
        for host in [
            "localhost.example",
            "notlocalhost",
            "127.0.0.1.example",
            "128.0.0.1",
            "127.1",
            "0.0.0.0",
            "[::2]",
            "[::ffff:10.0.0.1]",
            "2130706433",
            "localhost.",
            "localhost,localhost",
        ] {
            assert_eq!(
                judge(&HostCheck::local(), host, None),
                Err(foreign(host)),
                "{host}"
            );
        }
    }

    #[test]
    fn a_malformed_host_is_bad_whatever_the_rule() {
        for host in [
            "",
            ":80",
            "a b",
            "a/b",
            "user@localhost",
            "localhost:x",
            "localhost:99999",
            "localhost:+80",
            "[::1",
        ] {
            for check in [
                HostCheck::local(),
                HostCheck::same_origin(),
                HostCheck::none(),
            ] {
                assert_eq!(judge(&check, host, None), Err(HostError::BadHost), "{host}");
            }
        }
    }

    #[test]
    fn an_origin_must_be_local_or_the_host_itself() {
        let check = HostCheck::local().allow_host("rejoin.example");
        for origin in [
            "http://localhost:3000",
            "http://127.0.0.1",
            "https://[::1]:1",
            "https://rejoin.example",
        ] {
            assert_eq!(
                judge(&check, "rejoin.example", Some(origin)),
                Ok(()),
                "{origin}"
            );
        }
        for origin in [
            "null",
            "",
            "http://",
            "localhost",
            "https://example",
            "https://rejoin.example:444",
            "https://rejoin.example.evil",
            "https://localhost@evil.example",
            "file://",
        ] {
            assert_eq!(
                judge(&check, "rejoin.example", Some(origin)),
                Err(HostError::ForeignOrigin),
                "{origin}"
            );
        }
    }

    #[test]
    fn with_accounts_a_local_page_is_foreign_to_another_host() {
        let check = HostCheck::same_origin().allow_origin("https://ui.example");
        assert_eq!(judge(&check, "rejoin.example", None), Ok(()));
        assert_eq!(
            judge(&check, "rejoin.example", Some("https://UI.example")),
            Ok(())
        );
        assert_eq!(
            judge(&check, "rejoin.example", Some("http://localhost:3000")),
            Err(HostError::ForeignOrigin)
        );
    }

    #[test]
    fn with_accounts_hosts_are_local_or_allowed_and_pages_of_the_server_itself() {
        let check = HostCheck::with_hosts()
            .allow_host("Rejoin.example")
            .allow_address([10, 0, 0, 7].into());
        for host in [
            "localhost:8563",
            "127.0.0.1",
            "rejoin.example:8563",
            "10.0.0.7",
        ] {
            assert_eq!(judge(&check, host, None), Ok(()), "{host}");
            let own = format!("https://{host}");
            assert_eq!(judge(&check, host, Some(&own)), Ok(()), "{host}");
            for page in ["http://localhost:3000", "https://evil.example", "null"] {
                let judged = judge(&check, host, Some(page));
                assert_eq!(judged, Err(HostError::ForeignOrigin), "{page} to {host}");
            }
        }
        for host in ["10.0.0.8", "evil.example", "rejoin.example.evil", "[::2]"] {
            assert_eq!(judge(&check, host, None), Err(foreign(host)));
        }
        let everywhere = HostCheck::with_hosts().allow_address(Ipv4Addr::UNSPECIFIED.into());
        for host in ["10.0.0.8:8563", "[2001:db8::1]", "localhost"] {
            assert_eq!(judge(&everywhere, host, None), Ok(()), "{host}");
        }
        for host in ["evil.example", "10.0.0.8.evil", "[::1", "10.1"] {
            assert!(judge(&everywhere, host, None).is_err(), "{host}");
        }
    }

    #[test]
    fn the_target_may_not_name_another_host() {
        let headers = HeaderMap::from_iter([(header::HOST, HeaderValue::from_static("localhost"))]);
        let judged = HostCheck::local().check(
            Version::HTTP_11,
            &Uri::from_static("http://evil.example/"),
            &headers,
        );
        assert_eq!(judged, Err(foreign("evil.example")));
    }
}

//! The check of `Host`, `Origin` and `Sec-Fetch-Site`, against web pages of other sites.
//!
//! A server on loopback without accounts trusts every client that reaches it, and every page in the
//! user's browser can reach it. Such a page can't choose its `Origin`, and its `Host` is the name
//! that it was loaded from, even if that name resolves to 127.0.0.1 (DNS rebinding). So the host must
//! be local, and the origin the server's own: another port of this machine may be a forwarded one.
//!
//! Browsers leave `Origin` out of some requests, such as those of an image or a script. They say where
//! these come from in `Sec-Fetch-Site`, which no page can change either.

use http::uri::Authority;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri, Version, header};
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Which `Host` and `Origin` a request may carry. `Origin: null` never passes. A request without
/// `Origin` passes unless a browser says that another site's page made it (`Sec-Fetch-Site`); a link to
/// this server may be followed from everywhere.
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
}

impl HostCheck {
    /// `Host` must be local or allowed (local are `localhost`,
    /// `*.localhost`, 127.0.0.0/8, `[::1]`, with any port), and `Origin` the same host and port as
    /// `Host`.
    #[must_use]
    pub fn local() -> Self {
        Self::new(Rule::Local)
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

    /// Lets the pages of one more origin use the server, and read its responses (CORS, without
    /// cookies). Written as browsers do: `scheme://host`, with `:port` unless it is the scheme's own.
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
        }
    }

    /// Checks a request's head. With TLS a page that came without may have been changed on the way, and is
    /// of another origin. HTTP/1.0 may come without `Host`: browsers don't speak it.
    pub(crate) fn check(
        &self,
        method: &Method,
        version: Version,
        uri: &Uri,
        headers: &HeaderMap,
        is_encrypted: bool,
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
        if self.rule == Rule::Local {
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
        let mut has_origin = false;
        for origin in headers.get_all(header::ORIGIN) {
            if !self.passes_origin(origin.as_bytes(), host.as_ref(), is_encrypted) {
                return Err(HostError::foreign_origin(origin));
            }
            has_origin = true;
        }
        if !has_origin && is_of_another_site(headers) && !is_followed_link(method, headers) {
            return Err(HostError::ForeignOrigin(None));
        }
        Ok(())
    }

    /// The origin of a request that passed, if it was allowed by [`allow_origin`](Self::allow_origin).
    pub(crate) fn allowed_origin<'headers>(
        &self,
        headers: &'headers HeaderMap,
    ) -> Option<&'headers HeaderValue> {
        if self.origins.is_empty() {
            return None;
        }
        let origin = headers.get(header::ORIGIN)?;
        self.lists_origin(origin.to_str().ok()?).then_some(origin)
    }

    /// Whether the headers of a response depend on the request's origin.
    pub(crate) fn allows_origins(&self) -> bool {
        !self.origins.is_empty()
    }

    fn lists_origin(&self, origin: &str) -> bool {
        let mut origins = self.origins.iter();
        origins.any(|allowed| allowed.eq_ignore_ascii_case(origin))
    }

    fn allows_host(&self, host: &Authority) -> bool {
        if self.allows_addresses && address(host.host()).is_some() {
            return true;
        }
        self.hosts.iter().any(|allowed| {
            allowed.eq_ignore_ascii_case(host.as_str()) || allowed.eq_ignore_ascii_case(host.host())
        })
    }

    fn passes_origin(&self, origin: &[u8], host: Option<&Authority>, is_encrypted: bool) -> bool {
        let Ok(origin) = std::str::from_utf8(origin) else {
            return false;
        };
        if self.lists_origin(origin) {
            return true;
        }
        let Some((scheme, authority)) = origin.split_once("://") else {
            return false;
        };
        let Some(of_origin) = parse_host(authority.as_bytes()) else {
            return false;
        };
        let same_scheme = !is_encrypted || scheme.eq_ignore_ascii_case("https");
        same_scheme
            && host.is_some_and(|host| host.as_str().eq_ignore_ascii_case(of_origin.as_str()))
    }
}

/// Whether a browser says that a page of another origin made the request.
fn is_of_another_site(headers: &HeaderMap) -> bool {
    let mut sites = headers.get_all(SEC_FETCH_SITE).iter();
    sites.any(|site| !matches!(site.as_bytes(), b"same-origin" | b"none"))
}

/// Whether a link leads the whole tab here, so that the other site's page is gone. A frame inside that
/// page is none.
fn is_followed_link(method: &Method, headers: &HeaderMap) -> bool {
    let says = |name: &HeaderName, value: &str| headers.get(name).is_some_and(|it| it == value);
    matches!(*method, Method::GET | Method::HEAD)
        && says(&SEC_FETCH_MODE, "navigate")
        && says(&SEC_FETCH_DEST, "document")
}

/// Where a request comes from, as its browser says.
pub(crate) const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
const SEC_FETCH_MODE: HeaderName = HeaderName::from_static("sec-fetch-mode");
const SEC_FETCH_DEST: HeaderName = HeaderName::from_static("sec-fetch-dest");

/// Why a request doesn't pass. Displays as the text of the answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum HostError {
    /// `Host` is missing, sent twice, or isn't `host[:port]`.
    BadHost,
    /// With the host's name, which parses as one.
    ForeignHost(Box<str>),
    /// With the origin, if it can be allowed.
    ForeignOrigin(Option<Box<str>>),
}

impl HostError {
    fn foreign_origin(origin: &HeaderValue) -> Self {
        let origin = origin.to_str().ok();
        let allowable = origin.filter(|origin| {
            let host = origin.split_once("://").map(|(_, host)| host.as_bytes());
            host.and_then(parse_host).is_some()
        });
        Self::ForeignOrigin(allowable.map(Into::into))
    }

    pub(crate) fn status(&self) -> StatusCode {
        match self {
            Self::BadHost => StatusCode::BAD_REQUEST,
            Self::ForeignHost(_) | Self::ForeignOrigin(_) => StatusCode::FORBIDDEN,
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
            Self::ForeignOrigin(None) => {
                f.write_str("Requests from web pages of another origin aren't allowed.")
            }
            Self::ForeignOrigin(Some(origin)) => write!(
                f,
                "Requests from web pages of another origin aren't allowed; to allow these pages, start \
                 the server with --allow-origin {origin}"
            ),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Rule {
    Local,
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
        let uri = Uri::from_static("/");
        check.check(&Method::GET, Version::HTTP_11, &uri, &headers, false)
    }

    fn is_foreign_origin(judged: &Result<(), HostError>) -> bool {
        matches!(judged, Err(HostError::ForeignOrigin(_)))
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
    fn an_origin_must_be_the_host_itself() {
        let check = HostCheck::local().allow_host("rejoin.example");
        for host in ["rejoin.example", "localhost:8563", "[::1]:8563"] {
            for scheme in ["http", "https"] {
                let origin = format!("{scheme}://{host}");
                assert_eq!(judge(&check, host, Some(&origin)), Ok(()), "{origin}");
            }
        }
        for origin in [
            "http://localhost:3000",
            "http://localhost",
            "http://127.0.0.1",
            "https://[::1]:1",
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
            let judged = judge(&check, "rejoin.example", Some(origin));
            assert!(is_foreign_origin(&judged), "{origin}: {judged:?}");
        }
    }

    #[test]
    fn a_refusal_of_an_origin_says_how_it_can_be_allowed() {
        let refusal = |origin| judge(&HostCheck::local(), "localhost:1", Some(origin)).unwrap_err();
        let text = refusal("http://localhost:3000").to_string();
        assert!(
            text.ends_with(" --allow-origin http://localhost:3000"),
            "{text}"
        );
        for never in ["null", "http://a b", "evil"] {
            assert_eq!(refusal(never), HostError::ForeignOrigin(None), "{never}");
        }
    }

    #[test]
    fn a_request_that_another_sites_page_made_is_foreign_without_an_origin_too() {
        let judged = |check: &HostCheck, method: &Method, headers: &[(&'static str, &str)]| {
            let mut all =
                HeaderMap::from_iter([(header::HOST, HeaderValue::from_static("localhost:8563"))]);
            for (name, value) in headers {
                all.append(*name, HeaderValue::from_str(value).unwrap());
            }
            check.check(
                method,
                Version::HTTP_11,
                &Uri::from_static("/"),
                &all,
                false,
            )
        };
        let (get, post) = (Method::GET, Method::POST);
        let checks = [HostCheck::local(), HostCheck::same_origin()];
        let link = ["cross-site", "same-site"].map(|site| {
            [
                ("sec-fetch-site", site),
                ("sec-fetch-mode", "navigate"),
                ("sec-fetch-dest", "document"),
            ]
        });
        for check in &checks {
            for passes in ["same-origin", "none"] {
                let site = [("sec-fetch-site", passes)];
                assert_eq!(judged(check, &post, &site), Ok(()), "{passes}");
            }
            for site in ["cross-site", "same-site", "", "anything"] {
                let site = [("sec-fetch-site", site), ("sec-fetch-mode", "no-cors")];
                assert!(is_foreign_origin(&judged(check, &get, &site)), "{site:?}");
                assert!(is_foreign_origin(&judged(check, &post, &site)), "{site:?}");
            }
            let twice = [("sec-fetch-site", "none"), ("sec-fetch-site", "cross-site")];
            assert!(is_foreign_origin(&judged(check, &get, &twice)));
            for link in &link {
                assert_eq!(judged(check, &get, link), Ok(()));
                assert!(is_foreign_origin(&judged(check, &post, link)));
                let mut frame = *link;
                frame[2].1 = "iframe";
                assert!(is_foreign_origin(&judged(check, &get, &frame)));
            }
        }
        // A page that is allowed may be of another site.
        let check = HostCheck::local().allow_origin("https://ui.example");
        let page = [
            ("origin", "https://ui.example"),
            ("sec-fetch-site", "cross-site"),
        ];
        assert_eq!(judged(&check, &post, &page), Ok(()));
    }

    #[test]
    fn a_local_page_is_foreign_to_another_host() {
        let check = HostCheck::same_origin().allow_origin("https://ui.example");
        assert_eq!(judge(&check, "rejoin.example", None), Ok(()));
        assert_eq!(
            judge(&check, "rejoin.example", Some("https://UI.example")),
            Ok(())
        );
        let judged = judge(&check, "rejoin.example", Some("http://localhost:3000"));
        assert!(is_foreign_origin(&judged), "{judged:?}");
    }

    #[test]
    fn with_accounts_hosts_are_local_or_allowed_and_pages_of_the_server_itself() {
        let check = HostCheck::local()
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
                assert!(is_foreign_origin(&judged), "{page} to {host}");
            }
        }
        for host in ["10.0.0.8", "evil.example", "rejoin.example.evil", "[::2]"] {
            assert_eq!(judge(&check, host, None), Err(foreign(host)));
        }
        let everywhere = HostCheck::local().allow_address(Ipv4Addr::UNSPECIFIED.into());
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
            &Method::GET,
            Version::HTTP_11,
            &Uri::from_static("http://evil.example/"),
            &headers,
            false,
        );
        assert_eq!(judged, Err(foreign("evil.example")));
    }
}

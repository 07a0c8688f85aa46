//! What a path names: pure. The table of paths in one place.

use rejoin_core::SessionNumber;
use rejoin_http::Method;

/// A path, and whether it was asked for with the version before it: links repeat that.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Target {
    pub(crate) prefix: &'static str,
    pub(crate) route: Route,
}

/// What there is at a path. Names are as in the path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Route {
    /// `/v1`, which clients ask for to see whether anybody is there.
    Root,
    /// `/v1/auth`, where clients get a token
    Auth,
    /// `/v1/maxscale`
    MaxScale,
    /// `/v1/services`
    Services,
    /// `/v1/services/:id`
    Service(String),
    /// `/v1/sessions`
    Sessions,
    /// `/v1/sessions/restart`
    RestartAll,
    /// `/v1/sessions/:id`
    Session(String),
    /// `/v1/sessions/:id/restart`
    Restart(String),
    /// `/v1/sessions/:id/relationships/services`
    SessionServices(String),
    /// `/v1/sessions/:id/relationships/filters`
    SessionFilters(String),
}

impl Target {
    /// What the path names. Slashes at its end are not minded.
    pub(crate) fn parse(path: &str) -> Option<Self> {
        let path = path.trim_matches('/');
        let (prefix, path) = match path.split_once('/') {
            Some(("v1", rest)) => ("v1/", rest.trim_start_matches('/')),
            None if path == "v1" => ("v1/", ""),
            _ => ("", path),
        };
        let segments: Vec<&str> = path.split('/').collect();
        let route = match segments[..] {
            [""] => Route::Root,
            ["auth"] => Route::Auth,
            ["maxscale"] => Route::MaxScale,
            ["services"] => Route::Services,
            ["services", name] => Route::Service(name.into()),
            ["sessions"] => Route::Sessions,
            ["sessions", "restart"] => Route::RestartAll,
            ["sessions", id] => Route::Session(id.into()),
            ["sessions", id, "restart"] => Route::Restart(id.into()),
            ["sessions", id, "relationships", "services"] => Route::SessionServices(id.into()),
            ["sessions", id, "relationships", "filters"] => Route::SessionFilters(id.into()),
            _ => return None,
        };
        Some(Self { prefix, route })
    }
}

impl Route {
    /// The verbs that it answers to, as OPTIONS names them.
    pub(crate) fn methods(&self) -> &'static [Method] {
        match self {
            Self::Root
            | Self::Auth
            | Self::MaxScale
            | Self::Services
            | Self::Service(_)
            | Self::Sessions
            | Self::SessionServices(_) => &[Method::GET],
            Self::Session(_) => &[Method::GET, Method::PATCH, Method::DELETE],
            Self::SessionFilters(_) => &[Method::PATCH],
            Self::Restart(_) | Self::RestartAll => &[Method::POST],
        }
    }

    pub(crate) fn answers(&self, method: &Method) -> bool {
        let as_known = match *method {
            Method::HEAD => &Method::GET,
            _ => method,
        };
        *method == Method::OPTIONS || self.methods().contains(as_known)
    }

    /// The session that it is about, if it is about one.
    pub(crate) fn session(&self) -> Option<&str> {
        match self {
            Self::Session(id)
            | Self::Restart(id)
            | Self::SessionServices(id)
            | Self::SessionFilters(id) => Some(id),
            _ => None,
        }
    }
}

/// The number of a session that could be there.
pub(crate) fn number(id: &str) -> Option<SessionNumber> {
    let is_number = !id.is_empty() && id.bytes().all(|byte| byte.is_ascii_digit());
    let number = id.parse().ok().filter(|number| is_number && *number > 0);
    number.map(SessionNumber)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_and_the_slashes_around_a_path_may_be_there_or_not() {
        for (path, prefix, route) in [
            ("/v1/sessions", "v1/", Route::Sessions),
            ("/v1/sessions/", "v1/", Route::Sessions),
            ("/sessions", "", Route::Sessions),
            ("//sessions//", "", Route::Sessions),
            ("/v1", "v1/", Route::Root),
            ("/v1/", "v1/", Route::Root),
            ("/", "", Route::Root),
            ("/v1/sessions/9/", "v1/", Route::Session("9".into())),
            ("/sessions/9/restart", "", Route::Restart("9".into())),
            ("/sessions/restart", "", Route::RestartAll),
        ] {
            assert_eq!(
                Target::parse(path),
                Some(Target { prefix, route }),
                "{path}"
            );
        }
        for path in [
            "/v2/sessions",
            "/v1/v1/sessions",
            "/sessions/9/x",
            "/servers",
        ] {
            assert_eq!(Target::parse(path), None, "{path}");
        }
    }

    /// Where the route is documented. A new route doesn't compile until it has its line.
    fn documented_at(route: &Route) -> &'static str {
        match route {
            Route::Root => "/v1",
            Route::Auth => "/v1/auth",
            Route::MaxScale => "/v1/maxscale",
            Route::Services => "/v1/services",
            Route::Service(_) => "/v1/services/{id}",
            Route::Sessions => "/v1/sessions",
            Route::RestartAll => "/v1/sessions/restart",
            Route::Session(_) => "/v1/sessions/{id}",
            Route::Restart(_) => "/v1/sessions/{id}/restart",
            Route::SessionServices(_) => "/v1/sessions/{id}/relationships/services",
            Route::SessionFilters(_) => "/v1/sessions/{id}/relationships/filters",
        }
    }

    #[test]
    fn the_document_has_every_route_with_its_methods_and_no_other() {
        let document: serde_json::Value = serde_json::from_str(crate::OPENAPI).unwrap();
        let paths = document["paths"].as_object().unwrap();
        assert_eq!(paths.len(), 11, "as many as routes");
        for (path, methods) in paths {
            let Target { route, .. } = Target::parse(&path.replace("{id}", "1")).unwrap();
            assert_eq!(documented_at(&route), path);
            for method in ["GET", "PUT", "POST", "PATCH", "DELETE"] {
                let is_documented = methods.get(method.to_lowercase()).is_some();
                assert_eq!(
                    is_documented,
                    route.answers(&method.parse().unwrap()),
                    "{method} {path}"
                );
            }
        }
    }

    #[test]
    fn a_session_is_named_by_a_positive_number_alone() {
        assert_eq!(number("9"), Some(SessionNumber(9)));
        for wrong in ["", "0", "-1", "+1", "abc", "1x", "99999999999999999999"] {
            assert_eq!(number(wrong), None, "{wrong}");
        }
    }
}

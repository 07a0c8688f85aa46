//! The routes of the API: every path with its methods and their handlers, in one table.

use crate::MaxScale;
use crate::condition::Version;
use crate::error::Fault;
use crate::handlers::Call;
use futures::future::BoxFuture;
use rejoin_engine::SessionNumber;
use rejoin_http::{Method, Response};

/// What there is at a path.
pub(crate) struct Resource {
    /// As in the OpenAPI document: `{id}` is any one segment. The path may also be requested
    /// without `/v1`, and with further slashes at its end.
    pub(crate) path: &'static str,
    /// The version of the resource, which preconditions are checked against before a handler runs.
    pub(crate) version: fn(&MaxScale, &Call<'_>) -> Result<Version, Fault>,
    /// The methods, as OPTIONS lists them. HEAD is handled as GET.
    pub(crate) handlers: &'static [(Method, Handler)],
}

pub(crate) type Handler =
    for<'call> fn(&'call MaxScale, Call<'call>) -> BoxFuture<'call, Result<Response, Fault>>;

/// Every path of the API. The first match wins.
///
/// These are no rows of the server's router, because the product checks the login before it looks
/// at the path, and lets a header override the method.
pub(crate) const RESOURCES: &[Resource] = &[
    Resource {
        path: "/v1",
        version: MaxScale::server_version,
        handlers: &[(Method::GET, |server, call| Box::pin(server.ok(call)))],
    },
    Resource {
        path: AUTH,
        version: MaxScale::server_version,
        // GET itself is answered by `MaxScale::issue_token` before the login check; this is HEAD.
        handlers: &[(Method::GET, |server, call| Box::pin(server.ok(call)))],
    },
    Resource {
        path: "/v1/maxscale",
        version: MaxScale::server_version,
        handlers: &[(Method::GET, |server, call| {
            Box::pin(server.show_server(call))
        })],
    },
    Resource {
        path: "/v1/services",
        version: MaxScale::list_version,
        handlers: &[(Method::GET, |server, call| {
            Box::pin(server.list_services(call))
        })],
    },
    Resource {
        path: "/v1/services/{id}",
        version: MaxScale::service_version,
        handlers: &[(Method::GET, |server, call| {
            Box::pin(server.show_service(call))
        })],
    },
    Resource {
        path: "/v1/sessions",
        version: MaxScale::list_version,
        handlers: &[(Method::GET, |server, call| {
            Box::pin(server.list_sessions(call))
        })],
    },
    Resource {
        path: "/v1/sessions/restart",
        version: MaxScale::list_version,
        handlers: &[(Method::POST, |server, call| Box::pin(server.ok(call)))],
    },
    Resource {
        path: "/v1/sessions/{id}",
        version: MaxScale::session_version,
        handlers: &[
            (Method::GET, |server, call| {
                Box::pin(server.show_session(call))
            }),
            (Method::PATCH, |server, call| {
                Box::pin(server.alter_session(call))
            }),
            (Method::DELETE, |server, call| {
                Box::pin(server.close_session(call))
            }),
        ],
    },
    Resource {
        path: "/v1/sessions/{id}/restart",
        version: MaxScale::session_version,
        handlers: &[(Method::POST, |server, call| Box::pin(server.ok(call)))],
    },
    Resource {
        path: "/v1/sessions/{id}/relationships/services",
        version: MaxScale::session_version,
        handlers: &[(Method::GET, |server, call| {
            Box::pin(server.show_services_of_session(call))
        })],
    },
    Resource {
        path: "/v1/sessions/{id}/relationships/filters",
        version: MaxScale::session_version,
        handlers: &[(Method::PATCH, |server, call| {
            Box::pin(server.alter_filters_of_session(call))
        })],
    },
];

pub(crate) const AUTH: &str = "/v1/auth";

/// A path of a request, found in the table.
pub(crate) struct Target<'path> {
    /// `v1/` if the request has the version in its path: links repeat it.
    pub(crate) prefix: &'static str,
    pub(crate) resource: &'static Resource,
    /// What is in the place of `{id}`; empty if the path has none.
    pub(crate) id: &'path str,
}

impl<'path> Target<'path> {
    pub(crate) fn find(path: &'path str) -> Option<Self> {
        let path = path.trim_matches('/');
        let (prefix, path) = match path.split_once('/') {
            Some(("v1", rest)) => ("v1/", rest.trim_start_matches('/')),
            None if path == "v1" => ("v1/", ""),
            _ => ("", path),
        };
        RESOURCES.iter().find_map(|resource| {
            let id = resource.match_path(path)?;
            Some(Self {
                prefix,
                resource,
                id,
            })
        })
    }
}

impl Resource {
    /// The `{id}` of a path without the version, if it is a path of this resource.
    fn match_path<'path>(&self, path: &'path str) -> Option<&'path str> {
        let pattern = self.path.strip_prefix("/v1").unwrap_or(self.path);
        let pattern = pattern.trim_start_matches('/');
        let (mut id, mut segments) = ("", path.split('/'));
        for expected in pattern.split('/') {
            match segments.next()? {
                segment if expected == "{id}" => id = segment,
                segment if segment == expected => {}
                _ => return None,
            }
        }
        segments.next().is_none().then_some(id)
    }

    pub(crate) fn is_about_session(&self) -> bool {
        self.path.starts_with("/v1/sessions/{id}")
    }

    pub(crate) fn methods(&self) -> impl Iterator<Item = &'static Method> {
        self.handlers.iter().map(|(method, _)| method)
    }

    /// The handler of a method. OPTIONS has none: it is answered from the table.
    pub(crate) fn handler(&self, method: &Method) -> Option<Handler> {
        let method = match *method {
            Method::HEAD => &Method::GET,
            _ => method,
        };
        let found = self.handlers.iter().find(|(known, _)| known == method);
        found.map(|(_, handler)| *handler)
    }

    /// The values of `Accept`, as the product writes it, and of `Allow`, as RFC 9110 has it.
    pub(crate) fn options(&self) -> (String, String) {
        let names = self.methods().filter(|method| **method != Method::PATCH);
        let accept: Vec<&str> = names.map(Method::as_str).collect();
        let mut allow: Vec<&str> = self.methods().map(Method::as_str).collect();
        if allow.contains(&"GET") {
            allow.push("HEAD");
        }
        allow.push("OPTIONS");
        (accept.join(", "), allow.join(", "))
    }
}

/// The number of a session in a path: digits only, and not zero.
pub(crate) fn session_number(id: &str) -> Option<SessionNumber> {
    let is_number = !id.is_empty() && id.bytes().all(|byte| byte.is_ascii_digit());
    let number = id.parse().ok().filter(|number| is_number && *number > 0);
    number.map(SessionNumber)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_and_outer_slashes_are_optional() {
        for (path, prefix, resource, id) in [
            ("/v1/sessions", "v1/", "/v1/sessions", ""),
            ("/v1/sessions/", "v1/", "/v1/sessions", ""),
            ("/sessions", "", "/v1/sessions", ""),
            ("//sessions//", "", "/v1/sessions", ""),
            ("/v1", "v1/", "/v1", ""),
            ("/v1/", "v1/", "/v1", ""),
            ("/", "", "/v1", ""),
            ("/v1/sessions/9/", "v1/", "/v1/sessions/{id}", "9"),
            ("/sessions/9/restart", "", "/v1/sessions/{id}/restart", "9"),
            ("/sessions/restart", "", "/v1/sessions/restart", ""),
        ] {
            let target = Target::find(path).unwrap();
            let found = (target.prefix, target.resource.path, target.id);
            assert_eq!(found, (prefix, resource, id), "{path}");
        }
        for path in [
            "/v2/sessions",
            "/v1/v1/sessions",
            "/sessions/9/x",
            "/sessions/9/restart/x",
            "/servers",
        ] {
            assert!(Target::find(path).is_none(), "{path}");
        }
    }

    #[test]
    fn the_openapi_document_has_the_paths_and_methods_of_the_table() {
        let document: serde_json::Value = serde_json::from_str(crate::OPENAPI).unwrap();
        let paths = document["paths"].as_object().unwrap();
        assert_eq!(paths.len(), RESOURCES.len());
        for resource in RESOURCES {
            let documented = &paths[resource.path];
            for method in ["GET", "PUT", "POST", "PATCH", "DELETE"] {
                let is_documented = documented.get(method.to_lowercase()).is_some();
                let is_handled = resource.handler(&method.parse().unwrap()).is_some();
                assert_eq!(is_documented, is_handled, "{method} {}", resource.path);
            }
        }
    }

    #[test]
    fn every_path_of_the_table_finds_its_own_row() {
        for resource in RESOURCES {
            let path = resource.path.replace("{id}", "1");
            assert_eq!(Target::find(&path).unwrap().resource.path, resource.path);
        }
    }

    #[test]
    fn a_session_is_named_by_a_positive_number_only() {
        assert_eq!(session_number("9"), Some(SessionNumber(9)));
        for wrong in ["", "0", "-1", "+1", "abc", "1x", "99999999999999999999"] {
            assert_eq!(session_number(wrong), None, "{wrong}");
        }
    }
}

//! Compares a table of routes with the OpenAPI document that describes it, for tests of frontends.

#![expect(clippy::expect_used, reason = "documented to panic")]

use crate::web::router::Route;
use std::collections::BTreeSet;

/// Checks that a document describes every path and method of a table, and no others.
///
/// A row for all methods of a path needs one documented method. One that ends in `*` answers for
/// paths that don't exist, and is not documented. A slash at the end of a path makes no difference.
///
/// ```
/// use rejoin_http::{Request, Response, Route, StatusCode, route, test_openapi::assert_documented};
///
/// struct Shop;
///
/// impl Shop {
///     async fn show(&self, _: &Request) -> Response {
///         Response::empty(StatusCode::OK)
///     }
/// }
///
/// const ROUTES: &[Route<Shop>] = &[route!(GET "/pears/:pear" => Shop::show)];
///
/// assert_documented(r#"{"paths": {"/pears/{pear}": {"get": {}}}}"#, ROUTES);
/// ```
///
/// # Panics
///
/// When the two differ, or the document is not JSON with `paths`.
#[track_caller]
pub fn assert_documented<S>(openapi: &str, routes: &[Route<S>]) {
    let documented = documented(openapi);
    let mut mounted = BTreeSet::new();
    for route in routes {
        let path = openapi_path(route.path());
        match route.method() {
            Some(method) => {
                mounted.insert((path, method.as_str().to_owned()));
            }
            // Nothing is there.
            None if path.ends_with('*') || route.path().ends_with('/') => (),
            None => {
                let of_path = documented.iter().filter(|(known, _)| *known == path);
                let before = mounted.len();
                mounted.extend(of_path.cloned());
                assert!(mounted.len() > before, "{path} is not documented");
            }
        }
    }
    assert_eq!(documented, mounted, "the document and the routes differ");
}

/// The paths of a document, each with one of its methods, in upper case.
fn documented(openapi: &str) -> BTreeSet<(String, String)> {
    let document: serde_json::Value = serde_json::from_str(openapi).expect("the document is JSON");
    let paths = document["paths"].as_object().expect("it has paths");
    let mut documented = BTreeSet::new();
    for (path, operations) in paths {
        let operations = operations.as_object().expect("a path is an object");
        // Other members describe the path as a whole.
        let methods = operations.keys().filter(|name| METHODS.contains(&&***name));
        documented.extend(methods.map(|method| (path.clone(), method.to_uppercase())));
    }
    documented
}

/// `/pears/:pear/` as `/pears/{pear}`.
fn openapi_path(path: &str) -> String {
    let segments = path.trim_end_matches('/').split('/');
    let segments = segments.map(|segment| match segment.strip_prefix(':') {
        Some(name) => format!("{{{name}}}"),
        None => segment.to_owned(),
    });
    segments.collect::<Vec<_>>().join("/")
}

/// The methods that OpenAPI 3.1 knows.
const METHODS: [&str; 8] = [
    "get", "put", "post", "delete", "options", "head", "patch", "trace",
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::web::response::Response;
    use crate::{Request, StatusCode, route};

    struct Shop;

    impl Shop {
        async fn show(&self, _: &Request) -> Response {
            Response::empty(StatusCode::OK)
        }
    }

    const ROUTES: &[Route<Shop>] = &[
        route!(GET "/pears/" => Shop::show),
        route!(DELETE "/pears/:pear" => Shop::show),
        route!(ANY "/any" => Shop::show),
        route!(ANY "/pears/*" => Shop::show),
    ];

    fn check(paths: &str) -> bool {
        let document = format!(r#"{{"paths":{{{paths}}}}}"#);
        std::panic::catch_unwind(|| assert_documented(&document, ROUTES)).is_ok()
    }

    #[test]
    fn a_missing_path_or_method_and_one_too_many_are_found() {
        let pears = r#""/pears":{"get":{},"parameters":[],"x-other":{}}"#;
        let pear = r#""/pears/{pear}":{"delete":{}}"#;
        let any = r#""/any":{"post":{}}"#;
        assert!(check(&format!("{pears},{pear},{any}")));
        assert!(!check(&format!("{pears},{pear}")));
        assert!(!check(&format!("{pears},{any}")));
        assert!(!check(&format!(
            "{pears},{pear},{any},\"/figs\":{{\"get\":{{}}}}"
        )));
        let two = r#""/pears/{pear}":{"delete":{},"get":{}}"#;
        assert!(!check(&format!("{pears},{two},{any}")));
    }
}

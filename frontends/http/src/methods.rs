//! A path's methods, told in one place, so that a wrong one can be answered with the right ones.

use crate::answer::Answer;
use http::StatusCode;
use http::header::ALLOW;
use std::fmt;
use tide::http::Method;
use tide::{Endpoint, Request};

/// What a path answers to. The other methods are answered 405 with `Allow`, OPTIONS 204 with
/// `Allow`, and HEAD as GET, whose body is then left out.
///
/// tide's own `get` and `post` do the same but for `Allow`, which tide can't know.
///
/// ```
/// use rejoin_http::{Answer, Methods, StatusCode};
///
/// async fn list(_: tide::Request<()>) -> tide::Result<Answer> {
///     Ok(Answer::new(StatusCode::OK, "application/json", "[]"))
/// }
/// async fn create(_: tide::Request<()>) -> tide::Result<Answer> {
///     Ok(Answer::empty(StatusCode::CREATED))
/// }
///
/// let mut app = rejoin_http::app();
/// app.at("/sessions").all(Methods::new().get(list).post(create));
/// ```
#[derive(Default)]
pub struct Methods {
    endpoints: Vec<(Method, Box<dyn Endpoint<()>>)>,
    refuse: Option<fn(Method) -> Answer>,
}

impl Methods {
    /// A path that answers to nothing yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Answers to GET, and to HEAD unless that has its own.
    #[must_use]
    pub fn get(self, endpoint: impl Endpoint<()>) -> Self {
        self.method(Method::Get, endpoint)
    }

    /// Answers to POST.
    #[must_use]
    pub fn post(self, endpoint: impl Endpoint<()>) -> Self {
        self.method(Method::Post, endpoint)
    }

    /// Answers to PUT.
    #[must_use]
    pub fn put(self, endpoint: impl Endpoint<()>) -> Self {
        self.method(Method::Put, endpoint)
    }

    /// Answers to PATCH.
    #[must_use]
    pub fn patch(self, endpoint: impl Endpoint<()>) -> Self {
        self.method(Method::Patch, endpoint)
    }

    /// Answers to DELETE.
    #[must_use]
    pub fn delete(self, endpoint: impl Endpoint<()>) -> Self {
        self.method(Method::Delete, endpoint)
    }

    /// Answers to any one method. The first endpoint of a method is the one that is asked.
    #[must_use]
    pub fn method(mut self, method: Method, endpoint: impl Endpoint<()>) -> Self {
        self.endpoints.push((method, Box::new(endpoint)));
        self
    }

    /// What other methods are answered, in the frontend's own shape; `Allow` is added.
    #[must_use]
    pub fn refuse(mut self, refuse: fn(Method) -> Answer) -> Self {
        self.refuse = Some(refuse);
        self
    }

    fn find(&self, method: Method) -> Option<&dyn Endpoint<()>> {
        let found = self.endpoints.iter().find(|(known, _)| *known == method);
        match found {
            Some((_, endpoint)) => Some(&**endpoint),
            None if method == Method::Head => self.find(Method::Get),
            None => None,
        }
    }

    /// `Allow`'s value, in the order in which the methods were named.
    fn allow(&self) -> String {
        let has = |method| self.endpoints.iter().any(|(known, _)| *known == method);
        let mut allow = Vec::new();
        for (method, _) in &self.endpoints {
            allow.push(method.as_ref());
            if *method == Method::Get && !has(Method::Head) {
                allow.push("HEAD");
            }
        }
        if !has(Method::Options) {
            allow.push("OPTIONS");
        }
        allow.join(", ")
    }
}

#[tide::utils::async_trait]
impl Endpoint<()> for Methods {
    async fn call(&self, request: Request<()>) -> tide::Result {
        let method = request.method();
        if let Some(endpoint) = self.find(method) {
            return endpoint.call(request).await;
        }
        let answer = if method == Method::Options {
            Answer::empty(StatusCode::NO_CONTENT)
        } else {
            self.refuse.unwrap_or(refuse)(method)
        };
        Ok(answer.header(ALLOW, self.allow()).into())
    }
}

fn refuse(_: Method) -> Answer {
    let text = "text/plain; charset=utf-8";
    Answer::new(StatusCode::METHOD_NOT_ALLOWED, text, "Method Not Allowed")
}

impl fmt::Debug for Methods {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Methods").field(&self.allow()).finish()
    }
}

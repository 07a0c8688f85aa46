//! What a server serves: a tide application, and the few paths whose requests go past it.

use crate::answer::Answer;
use crate::request::Arrival;
use futures::FutureExt;
use futures::future::BoxFuture;
use std::fmt;
use std::ops::{Deref, DerefMut};
use std::sync::Arc;

/// An application for frontends to mount their endpoints on: one of tide's, which it stands for
/// wherever tide's is asked for, and *direct* paths beside it.
///
/// What nobody has mounted is answered 404 `Not found`; a path that is mounted with other methods
/// 405 (with `Allow` where it is mounted with [`Methods`](crate::Methods)).
#[derive(Clone, Default)]
pub struct App {
    tide: tide::Server<()>,
    direct: Vec<Direct>,
}

impl App {
    /// Mounts a handler of all methods at one path, past tide: for a path that is asked so often
    /// that tide's own requests and responses are much of what it costs.
    ///
    /// All else is as for any handler: what is refused never reaches it, the body is complete, its
    /// future is dropped when its client leaves, its panic is answered with 500, HEAD gets no body.
    ///
    /// The path has no parameters. Another spelling of it, which tide takes for the same
    /// (`/a/../api`), is tide's to find; it leads to the same handler.
    ///
    /// ```
    /// use rejoin_http::{Answer, Arrival, StatusCode};
    ///
    /// let mut app = rejoin_http::app();
    /// app.direct("/echo", |arrival: Arrival| async move {
    ///     Answer::new(StatusCode::OK, "text/plain; charset=utf-8", arrival.body().clone())
    /// });
    /// # use rejoin_http::test_call::call;
    /// # let called = smol::block_on(call(&app, "POST", "/echo", &[], b"Welcome!")).unwrap();
    /// # assert_eq!((called.status, &*called.body), (200, &b"Welcome!"[..]));
    /// ```
    pub fn direct<F>(
        &mut self,
        path: &'static str,
        handler: impl Fn(Arrival) -> F + Send + Sync + 'static,
    ) where
        F: Future<Output = Answer> + Send + 'static,
    {
        let handler: Arc<Handler> = Arc::new(move |arrival| handler(arrival).boxed());
        self.direct.push(Direct {
            path,
            handler: handler.clone(),
        });
        self.tide.at(path).all(move |request: tide::Request<()>| {
            let answering = handler(Arrival::of(request));
            async move { Ok(answering.await) }
        });
    }

    /// Who has this path of a target, if it is past tide.
    pub(crate) fn find(&self, path: &str) -> Option<&Direct> {
        self.direct.iter().find(|direct| direct.path == path)
    }
}

impl Deref for App {
    type Target = tide::Server<()>;

    fn deref(&self) -> &Self::Target {
        &self.tide
    }
}

impl DerefMut for App {
    fn deref_mut(&mut self) -> &mut Self::Target {
        &mut self.tide
    }
}

impl fmt::Debug for App {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let paths: Vec<_> = self.direct.iter().map(|direct| direct.path).collect();
        f.debug_struct("App")
            .field("tide", &self.tide)
            .field("direct", &paths)
            .finish()
    }
}

/// A path past tide, and who answers there.
#[derive(Clone)]
pub(crate) struct Direct {
    pub(crate) path: &'static str,
    handler: Arc<Handler>,
}

impl Direct {
    pub(crate) fn answer(&self, arrival: Arrival) -> BoxFuture<'static, Answer> {
        (self.handler)(arrival)
    }
}

type Handler = dyn Fn(Arrival) -> BoxFuture<'static, Answer> + Send + Sync;

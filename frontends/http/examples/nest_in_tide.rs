//! Nests Rejoin's routes in a tide application of your own, and asks it one question.
//!
//!     cargo run -p rejoin-http --example nest_in_tide
//!
//! tide's own listener would serve such an application; this program asks it directly.

use rejoin_http::{Request, Response, Route, Router, StatusCode, route};
use std::error::Error;
use std::sync::Arc;

struct Greeter {
    greeting: &'static str,
}

impl Greeter {
    async fn greet(&self, request: &Request) -> Response {
        let name = request.param("name").unwrap_or("stranger");
        let text = format!("{} {name}!", self.greeting);
        Response::new(StatusCode::OK, "text/plain; charset=utf-8", text)
    }
}

const ROUTES: &[Route<Greeter>] = &[route!(GET "/greet/:name" => Greeter::greet)];

/// What the program does.
pub(crate) async fn run() -> Result<String, Box<dyn Error>> {
    let greeter = Greeter {
        greeting: "Welcome",
    };
    let mut router = Router::default();
    router.mount("greeter", Arc::new(greeter), ROUTES);

    let mut app = tide::new();
    app.at("/rejoin").nest(router.into_tide());

    let url = tide::http::Url::parse("http://localhost/rejoin/greet/anna")?;
    let request = tide::http::Request::new(tide::http::Method::Get, url);
    let mut response: tide::http::Response = app.respond(request).await?;
    Ok(response.body_string().await?)
}

fn main() -> Result<(), Box<dyn Error>> {
    let answer = smol::block_on(run())?;
    if answer != "Welcome anna!" {
        return Err(format!("unexpected answer: {answer}").into());
    }
    Ok(())
}

//! Health and readiness. A server is healthy while it answers and its engine has not stopped, and
//! ready while it accepts commands; one of several nodes is not while it is cut off or behind. Supervisors check the first, load balancers the second.

use rejoin_engine::{Engine, EngineStatus};
use rejoin_http::{Response, StatusCode};

pub(crate) fn health(engine: &Engine) -> Response {
    match engine.stats().status {
        EngineStatus::Running | EngineStatus::ShuttingDown => well("well\n"),
        EngineStatus::Stopped => unwell("ended\n"),
    }
}

pub(crate) fn readiness(engine: &Engine) -> Response {
    match engine.stats().status {
        EngineStatus::Running => match engine.cluster().and_then(|cluster| cluster.unready()) {
            None => well("ready\n"),
            Some(reason) => unwell(format!("{reason}\n")),
        },
        EngineStatus::ShuttingDown => unwell("closing\n"),
        EngineStatus::Stopped => unwell("ended\n"),
    }
}

fn well(text: &'static str) -> Response {
    answer(StatusCode::OK, text)
}

fn unwell(text: impl Into<String>) -> Response {
    answer(StatusCode::SERVICE_UNAVAILABLE, text)
}

fn answer(status: StatusCode, text: impl Into<String>) -> Response {
    Response::new(status, "text/plain; charset=utf-8", text.into())
        .header("cache-control", "no-store")
}

#[cfg(test)]
mod tests {
    use rejoin_engine::{Config, Projection, Services, SmolRuntime};
    use rejoin_http::test_call::call;
    use rejoin_log::MemoryLog;
    use std::sync::Arc;
    use std::time::Duration;

    #[test]
    fn an_engine_that_shuts_down_is_healthy_but_not_ready_and_a_stopped_one_is_neither() {
        let config = Config::default();
        let recovered = Projection::new(config.limits);
        let (log, runtime) = (Box::new(MemoryLog::new()), Arc::new(SmolRuntime));
        let engine =
            rejoin_engine::testing::start(config, runtime, log, recovered, Services::new())
                .unwrap();
        let mut app = rejoin_http::Router::default();
        let state = crate::AdminState {
            engine: engine.clone(),
            accounts: rejoin_accounts::Accounts::open().unwrap(),
            shell: None,
            log: None,
            log_directory: "nowhere".into(),
            http: Arc::default(),
            connections_limit: 10_000,
            bodies: rejoin_http::Budget::new(1),
            unread: rejoin_http::Budget::new(1),
            exec_answers: rejoin_http::Budget::new(1),
            lost_lines: Arc::default(),
            webhooks: Arc::default(),
            version: "1",
            started_millis: 0,
        };
        crate::mount(&mut app, state);
        let ask = |path| {
            let called = smol::block_on(call(&app, "GET", path, &[], b"")).unwrap();
            (called.status, String::from_utf8(called.body).unwrap())
        };
        assert_eq!(ask("/healthz"), (200, "well\n".into()));
        assert_eq!(ask("/readyz"), (200, "ready\n".into()));
        engine.begin_closing();
        assert_eq!(ask("/healthz"), (200, "well\n".into()));
        assert_eq!(ask("/readyz"), (503, "closing\n".into()));
        smol::block_on(engine.shut_down(Duration::ZERO));
        assert_eq!(ask("/healthz"), (503, "ended\n".into()));
        assert_eq!(ask("/readyz"), (503, "ended\n".into()));
    }
}

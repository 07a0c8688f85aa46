//! `rejoin serve`: opens the log, starts the engine, binds the frontends and waits for signals; shuts
//! down in the reverse order.

mod access;
mod admin;
mod compaction;
mod encryption;
mod log_output;
mod notify;
mod read_only;

use crate::args::ServeArgs;

use crate::settings::Settings;
use admin::Listener;
use async_signal::{Signal, Signals};
use futures::StreamExt;
use futures::future::{Either, join, join_all, select};
use rejoin_accounts::Accounts;
use rejoin_core::{Timestamp, Violation};
use rejoin_engine::{
    Engine, RecoveredState, Runner, Runtime, Services, ShellRunner, ShellSettings, SmolRuntime,
    Unavailable,
};
use rejoin_http::{Server, Shutdown, Tls};
use rejoin_log::segment::{LogId, Numbers, OpenError, SegmentLog};
use std::error::Error;
use std::io::Write;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::sync::Arc;

/// Serves until a signal stops the server, or its log fails.
pub(crate) fn run(args: ServeArgs) -> Result<(), ServeError> {
    let mut settings = args.settings;
    if let Some(file) = &args.config {
        settings = settings.or(Settings::read(file).map_err(start_error)?);
    }
    settings.use_old_admin_listen().map_err(start_error)?;
    log_output::start(&settings);
    let read_only = args
        .read_only
        .map(|directory| directory.unwrap_or_else(|| settings.data()));
    smol::block_on(serve(&settings, read_only.as_deref()))
}

/// Why the server did not start, or stopped.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ServeError {
    /// It could not start.
    #[error(transparent)]
    Start(Box<dyn Error + Send + Sync>),
    /// The log is damaged; it is left unchanged.
    #[error(
        "{error}; the server did not start and changed nothing: `rejoin verify {}` shows what is \
         missing and what is still readable",
        data.display()
    )]
    Damaged { data: PathBuf, error: OpenError },
    /// Anyone who can reach the address could run commands on this machine.
    #[error(
        "refusing to listen on {address}: there are no accounts in {}, so anyone who can reach this \
         address could run commands; add an account with `rejoin user add`, or use a loopback \
         address such as 127.0.0.1",
        accounts.display()
    )]
    NotLoopback {
        address: SocketAddr,
        accounts: PathBuf,
    },
    /// The accounts file that was named has no accounts.
    #[error("no accounts in {}: add one with `rejoin user add`", .0.display())]
    NoAccounts(PathBuf),
    /// The log holds a record that breaks a rule.
    #[error("cannot replay the log in {}: {}", .0.display(), .1)]
    Replay(PathBuf, Violation),
    /// A second signal came during the shutdown.
    #[error(
        "received a second signal and stopped at once: the next start marks running jobs as lost"
    )]
    SecondSignal,
    /// The engine had to stop.
    #[error("{0}; start the server again to continue from the log")]
    Stopped(Unavailable),
}

fn start_error(error: impl Into<Box<dyn Error + Send + Sync>>) -> ServeError {
    ServeError::Start(error.into())
}

/// The engine on an open log, and what the frontends need beside it.
struct Started {
    engine: Engine,
    /// None with --read-only: nothing is run.
    shell: Option<Arc<ShellRunner>>,
    data: PathBuf,
    is_read_only: bool,
    /// Metrics of the log's writer; none with --read-only.
    log: Option<Arc<Numbers>>,
    /// When the process started to open the log.
    at: Timestamp,
}

async fn serve(settings: &Settings, read_only: Option<&Path>) -> Result<(), ServeError> {
    let accounts = access::accounts(settings, read_only)?;
    let tls = encryption::open(settings)?;
    // Installed early, so that a signal during a long replay also shuts down cleanly.
    let signals = Signals::new([Signal::Term, Signal::Int]).map_err(start_error)?;
    let started = match read_only {
        Some(directory) => read_only::start(settings, directory)?,
        None => start(settings).await?,
    };
    serve_until_stopped(settings, started, &accounts, tls.as_ref(), signals).await
}

/// Opens the log, kills processes left over from the previous server, and starts the engine.
async fn start(settings: &Settings) -> Result<Started, ServeError> {
    let data = settings.data();
    let config = settings.engine();
    let at = SmolRuntime.now();
    let (log, replayed) = open_log(&data, settings, RecoveredState::new(&config))?;
    let data = data.canonicalize().unwrap_or(data);
    let runtime = Arc::new(SmolRuntime);
    let mut shell_settings = ShellSettings::new(data.join("shell"), log.id().to_string());
    shell_settings.grace = settings.interrupt_grace();
    let shell = ShellRunner::new(shell_settings, runtime.clone()).map_err(start_error)?;
    let shell = Arc::new(shell);
    shell.retain(|session| replayed.state().session(session).is_some());
    let orphans = shell.sweep().await;
    if orphans > 0 {
        tracing::warn!(
            processes = orphans,
            "killed processes left over from the previous server"
        );
    }
    let services = Services::from([("shell".into(), shell.clone() as Arc<dyn Runner>)]);
    let numbers = log.numbers();
    let archive = log.archive();
    let engine =
        Engine::start(config, runtime, Box::new(log), replayed, services).map_err(start_error)?;
    compaction::start(archive);
    Ok(Started {
        engine,
        shell: Some(shell),
        data,
        is_read_only: false,
        log: Some(numbers),
        at,
    })
}

/// Answers requests until a signal comes, or the engine stops.
async fn serve_until_stopped(
    settings: &Settings,
    started: Started,
    accounts: &Accounts,
    tls: Option<&Tls>,
    mut signals: Signals,
) -> Result<(), ServeError> {
    let engine = started.engine.clone();
    let servers = bind(settings, &started, accounts, tls).map_err(start_error)?;
    announce(&servers, &started, encryption::scheme(tls)).map_err(start_error)?;
    notify::ready();

    let shutdown = Shutdown::new();
    let watch = async {
        if let Either::Left((signal, _)) = select(signals.next(), pin!(engine.ended())).await {
            let signal = signal.and_then(Result::ok).map_or("signal", signal_name);
            tracing::info!(
                signal,
                "shutting down (send the signal again to stop at once)"
            );
        }
        notify::stopping();
        engine.begin_closing();
        shutdown.trigger();
        signals.next().await
    };
    let work = async {
        let end_engine = async {
            shutdown.wait().await;
            engine.shut_down(settings.shutdown_grace()).await
        };
        let serving = servers
            .into_iter()
            .map(|(listener, server)| server.run(stopped(listener, &shutdown, &engine)));
        join(join_all(serving), end_engine).await
    };
    let (served, ended) = match select(pin!(work), pin!(watch)).await {
        Either::Left((outcome, _)) => outcome,
        Either::Right(_) => {
            started.sweep().await;
            return Err(ServeError::SecondSignal);
        }
    };
    let left = started.sweep().await;
    if left > 0 {
        tracing::warn!(processes = left, "killed processes that were still running");
    }
    let mut cut = 0;
    for stopped in served {
        cut += stopped.map_err(start_error)?.aborted;
    }
    if cut > 0 {
        tracing::warn!(connections = cut, "closed connections that were still open");
    }
    match ended {
        Unavailable::ShuttingDown => Ok(()),
        failed => Err(ServeError::Stopped(failed)),
    }
}

fn signal_name(signal: Signal) -> &'static str {
    match signal {
        Signal::Term => "SIGTERM",
        _ => "SIGINT",
    }
}

/// Waits until a server stops accepting requests. Health and metrics stay available until the engine
/// has stopped.
async fn stopped(listener: Listener, shutdown: &Shutdown, engine: &Engine) {
    shutdown.wait().await;
    if listener == Listener::Admin {
        engine.ended().await;
    }
}

impl Started {
    /// Kills all processes of jobs; returns how many there were.
    async fn sweep(&self) -> usize {
        match &self.shell {
            Some(shell) => shell.sweep().await,
            None => 0,
        }
    }
}

fn open_log(
    data: &Path,
    settings: &Settings,
    mut replayed: RecoveredState,
) -> Result<(SegmentLog, RecoveredState), ServeError> {
    let new_id = LogId::from_bytes(SmolRuntime.random());
    let directory = data.join("log");
    let opened = SegmentLog::open_replaying(&directory, new_id, settings.log(), &mut replayed);
    let (log, recovery) = opened.map_err(|error| match error {
        OpenError::Damaged(_) => ServeError::Damaged {
            data: data.into(),
            error,
        },
        error => start_error(error),
    })?;
    if let Some(violation) = replayed.violation() {
        return Err(ServeError::Replay(data.into(), violation));
    }
    for passed_over in &recovery.passed_over {
        let (file, reason) = (passed_over.file.display(), &passed_over.reason);
        tracing::warn!(%file, reason, "ignored an unusable snapshot; replaying records instead");
    }
    if let Some(torn) = &recovery.torn {
        let (file, byte) = (torn.file.display(), torn.byte);
        tracing::warn!(%file, byte, "cut off an incomplete last write that was never acknowledged");
    }
    let sessions = replayed.views().open_count();
    let replayed_records = replayed.records();
    tracing::info!(
        records = recovery.records,
        replayed = replayed_records,
        sessions,
        "opened the log"
    );
    Ok((log, replayed))
}

/// Binds the servers: one for all frontends, first in the list, and one for each frontend with an
/// address of its own.
fn bind(
    settings: &Settings,
    started: &Started,
    accounts: &Accounts,
    tls: Option<&Tls>,
) -> Result<Vec<(Listener, Server)>, rejoin_http::BindError> {
    let engine = &started.engine;
    let mut common = rejoin_http::Router::default();
    let arthas = settings.arthas();
    rejoin_arthas::mount(&mut common, engine.clone(), accounts.clone(), arthas);
    rejoin_console::mount(&mut common);
    rejoin_native::mount(&mut common, engine.clone(), accounts.clone());
    let mut documents = vec![rejoin_native::OPENAPI, rejoin_arthas::OPENAPI];
    let separate = |address| (address, rejoin_http::Router::default());
    let mut maxscale = settings.maxscale_listen().map(separate);
    match &mut maxscale {
        Some((_, own)) => {
            rejoin_maxscale::mount(own, engine.clone(), accounts.clone());
            rejoin_native::mount_openapi(own, &[rejoin_maxscale::OPENAPI]);
        }
        None => {
            rejoin_maxscale::mount_versioned(&mut common, engine.clone(), accounts.clone());
            documents.push(rejoin_maxscale::OPENAPI);
        }
    }
    let mut doris = settings.doris_listen().map(separate);
    let app = match &mut doris {
        Some((_, own)) => {
            rejoin_native::mount_openapi(own, &[rejoin_doris::OPENAPI]);
            own
        }
        None => {
            documents.push(rejoin_doris::OPENAPI);
            &mut common
        }
    };
    rejoin_doris::mount(app, engine.clone(), accounts.clone(), settings.doris());
    rejoin_native::mount_openapi(&mut common, &documents);

    let metrics = admin::metrics();
    let mut admin = settings.admin_listen().map(separate);
    let app = admin.as_mut().map_or(&mut common, |(_, app)| app);
    rejoin_admin::mount(app, admin::admin_state(started, metrics.clone()));

    let bind = |listener, (address, app)| {
        let observer = admin::observer(settings, &metrics, listener);
        let hosts = match listener {
            Listener::Admin => admin::hosts(address),
            _ => access::host_check(settings, accounts, address),
        };
        let server = Server::bind(address, app, settings.http(), hosts)?;
        let server = match tls {
            // No secrets are sent there, so there is nothing to warn about.
            None if listener == Listener::Admin => server,
            tls => encryption::encrypt(server, tls),
        };
        Ok((listener, server.observed(observer)))
    };
    [
        (Listener::Common, Some((settings.listen(), common))),
        (Listener::MaxScale, maxscale),
        (Listener::Doris, doris),
        (Listener::Admin, admin),
    ]
    .into_iter()
    .filter_map(|(listener, own)| Some(bind(listener, own?)))
    .collect()
}

/// Prints the server's address and the directory of its log, then a line for each frontend with an
/// address of its own.
fn announce(
    servers: &[(Listener, Server)],
    started: &Started,
    scheme: &str,
) -> std::io::Result<()> {
    let log = if started.is_read_only {
        "and only reads the log"
    } else {
        "with its log"
    };
    let mut lines = String::new();
    for (place, (listener, server)) in servers.iter().enumerate() {
        let address = server.local_addr();
        lines += &match place {
            0 => format!(
                "Rejoin listens on {scheme}://{address}, {log} in {}\n",
                started.data.display()
            ),
            _ => format!("{}: {scheme}://{address}\n", listener.title()),
        };
    }
    // In one write: some programs read the first line only and close the pipe.
    let mut out = std::io::stdout();
    out.write_all(lines.as_bytes())?;
    out.flush()
}

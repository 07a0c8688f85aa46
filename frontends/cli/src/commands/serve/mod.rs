//! The server: the log, the engine, the frontends and the signals, in the order in which they
//! begin, and end in the other.

mod access;
mod admin;
mod encryption;
mod log_output;
mod notify;

use crate::args::ServeArgs;
use crate::commands::verify::find_log;
use crate::offline::OfflineError;
use crate::settings::Settings;
use admin::Listener;
use async_signal::{Signal, Signals};
use futures::StreamExt;
use futures::future::{Either, join, join_all, select};
use rejoin_accounts::Accounts;
use rejoin_core::{Timestamp, Violation};
use rejoin_engine::{Engine, OpenError, Runtime, ShellRunner, SmolRuntime, Unavailable};
use rejoin_http::{HttpServer, Shutdown, Tls};
use rejoin_log::segment::OpenError as LogError;
use std::error::Error;
use std::io::Write;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::sync::Arc;

/// Serves until it is told to end.
pub(crate) fn run(args: ServeArgs) -> Result<(), ServeError> {
    let mut settings = args.settings;
    if let Some(file) = &args.config {
        settings = settings.or(Settings::read(file).map_err(|it| ServeError::Start(it.into()))?);
    }
    settings
        .use_old_admin_listen()
        .map_err(|error| ServeError::Start(error.into()))?;
    log_output::start(&settings);
    let read_only = args
        .read_only
        .map(|directory| directory.unwrap_or_else(|| settings.data()));
    smol::block_on(serve(&settings, read_only.as_deref()))
}

/// Why the server did not serve, or stopped.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ServeError {
    /// It could not begin.
    #[error(transparent)]
    Start(Box<dyn Error + Send + Sync>),
    /// The log is damaged, and is left as it is.
    #[error(
        "{error}; nothing was changed and nothing is served: `rejoin verify {}` says what is \
         missing and what is still readable",
        data.display()
    )]
    Damaged { data: PathBuf, error: LogError },
    /// Whoever reaches the address could run commands on this machine.
    #[error(
        "refusing to listen on {address}: there are no accounts in {}, so whoever reaches that \
         address could run commands here; add one with `rejoin user add`, or use a loopback \
         address such as 127.0.0.1",
        accounts.display()
    )]
    NotLoopback {
        address: SocketAddr,
        accounts: PathBuf,
    },
    /// Nobody could log in, where somebody has to.
    #[error("there are no accounts in {}: add one with `rejoin user add`", .0.display())]
    NoAccounts(PathBuf),
    /// The log holds what no engine has written.
    #[error("the log in {0} cannot be replayed: {1}")]
    Replay(PathBuf, Violation),
    /// Whoever told it to end could not wait.
    #[error(
        "received a second signal and stopped at once: the next start marks running jobs as lost"
    )]
    ToldTwice,
    /// It had to stop.
    #[error("{0}; start it again to go on from the log")]
    Stopped(Unavailable),
}

/// What is there when the log has been read.
struct Begun {
    engine: Engine,
    /// None where nothing is run.
    shell: Option<ShellRunner>,
    data: PathBuf,
    is_read_only: bool,
    /// When the process began to serve.
    at: Timestamp,
}

async fn serve(settings: &Settings, read_only: Option<&Path>) -> Result<(), ServeError> {
    let begin = |error: Box<dyn Error + Send + Sync>| ServeError::Start(error);
    let accounts = access::accounts(settings, read_only)?;
    let tls = encryption::open(settings)?;
    // From here on a signal ends the server cleanly, however early it comes.
    let signals = Signals::new([Signal::Term, Signal::Int]).map_err(|it| begin(it.into()))?;
    let begun = open(settings, read_only).await?;
    serve_until_told(settings, begun, &accounts, tls.as_ref(), signals).await
}

/// Opens the engine on the log of the data directory, or of a copy that is only read.
async fn open(settings: &Settings, read_only: Option<&Path>) -> Result<Begun, ServeError> {
    let begin = |error: Box<dyn Error + Send + Sync>| ServeError::Start(error);
    let at = SmolRuntime.now();
    let data = read_only.map_or_else(|| settings.data(), Path::to_owned);
    let shell = ShellRunner::default().with_grace(settings.interrupt_grace());
    let builder = Engine::builder(&data).config(settings.engine());
    let (builder, log_directory) = match read_only {
        Some(directory) => {
            let (log, _) = find_log(directory).map_err(|it| begin(it.into()))?;
            (builder.log_directory(log.clone()).read_only(), log)
        }
        None => {
            let shell = Arc::new(shell.clone());
            let builder = builder.log_options(settings.log());
            (builder.shared_service("shell", shell), data.join("log"))
        }
    };
    let is_read_only = read_only.is_some();
    let engine = builder.open().await.map_err(|error| match error {
        OpenError::Log(error @ LogError::Damaged(_)) => ServeError::Damaged {
            data: data.clone(),
            error,
        },
        OpenError::Log(LogError::Locked { directory }) if is_read_only => {
            begin(OfflineError::InUse(directory).into())
        }
        OpenError::NoLog(directory) => begin(OfflineError::NoLog(directory).into()),
        OpenError::Invalid(violation) => ServeError::Replay(data.clone(), violation),
        error => begin(error.into()),
    })?;
    let shown = if is_read_only { &log_directory } else { &data };
    Ok(Begun {
        engine,
        shell: (!is_read_only).then_some(shell),
        data: shown.canonicalize().unwrap_or_else(|_| shown.clone()),
        is_read_only,
        at,
    })
}

/// Answers requests until a signal comes, or the engine ends.
async fn serve_until_told(
    settings: &Settings,
    begun: Begun,
    accounts: &Accounts,
    tls: Option<&Tls>,
    mut signals: Signals,
) -> Result<(), ServeError> {
    let begin = |error: Box<dyn Error + Send + Sync>| ServeError::Start(error);
    let engine = begun.engine.clone();
    let servers = bind(settings, &begun, accounts, tls).map_err(|it| begin(it.into()))?;
    announce(&servers, &begun, encryption::scheme(tls)).map_err(|it| begin(it.into()))?;
    notify::ready();

    let shutdown = Shutdown::new();
    let watch = async {
        if let Either::Left((signal, _)) = select(signals.next(), pin!(engine.ended())).await {
            let signal = match signal.and_then(Result::ok) {
                Some(Signal::Term) => "SIGTERM",
                _ => "SIGINT",
            };
            tracing::info!("received {signal}, shutting down (send it again to stop at once)");
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
            .map(|(listener, server)| server.run(until(listener, &shutdown, &engine)));
        join(join_all(serving), end_engine).await
    };
    let (served, ended) = match select(pin!(work), pin!(watch)).await {
        Either::Left((outcome, _)) => outcome,
        Either::Right(_) => {
            begun.sweep().await;
            return Err(ServeError::ToldTwice);
        }
    };
    let left = begun.sweep().await;
    if left > 0 {
        tracing::warn!("killed {left} processes that were still running");
    }
    let mut cut = 0;
    for stopped in served {
        cut += stopped.map_err(|it| begin(it.into()))?.aborted;
    }
    if cut > 0 {
        tracing::warn!(cut, "connections did not end in time and were cut");
    }
    match ended {
        Unavailable::ShuttingDown => Ok(()),
        failed => Err(ServeError::Stopped(failed)),
    }
}

/// Until when a server takes requests: who asks how it is gets an answer until the engine has ended.
async fn until(listener: Listener, shutdown: &Shutdown, engine: &Engine) {
    shutdown.wait().await;
    if listener == Listener::Operate {
        engine.ended().await;
    }
}

impl Begun {
    /// Ends what runs; answers how much that was.
    async fn sweep(&self) -> usize {
        match &self.shell {
            Some(shell) => shell.sweep().await,
            None => 0,
        }
    }
}

/// The servers, each with what it serves: one for all frontends, and one for each that has an
/// address of its own. The common one is the first.
fn bind(
    settings: &Settings,
    begun: &Begun,
    accounts: &Accounts,
    tls: Option<&Tls>,
) -> Result<Vec<(Listener, HttpServer)>, rejoin_http::BindError> {
    let engine = &begun.engine;
    let mut common = rejoin_http::Router::default();
    let arthas = settings.arthas();
    rejoin_arthas::mount(&mut common, engine.clone(), accounts.clone(), arthas);
    rejoin_console::mount(&mut common);
    rejoin_native::mount(&mut common, engine.clone(), accounts.clone());
    let mut documents = vec![rejoin_native::OPENAPI, rejoin_arthas::OPENAPI];
    let of_its_own = |address| (address, rejoin_http::Router::default());
    let mut maxscale = settings.maxscale_listen().map(of_its_own);
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
    let mut doris = settings.doris_listen().map(of_its_own);
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
    let mut operate = settings.admin_listen().map(of_its_own);
    let app = operate.as_mut().map_or(&mut common, |(_, app)| app);
    rejoin_admin::mount(app, admin::admin_state(begun, metrics.clone()));

    let bind = |listener, (address, app)| {
        let observer = admin::observer(settings, &metrics, listener);
        let hosts = match listener {
            Listener::Operate => admin::hosts(address),
            _ => access::host_check(settings, accounts, address),
        };
        let server = HttpServer::bind(address, app, settings.http(), hosts)?;
        let server = match tls {
            // Nobody says anything secret there.
            None if listener == Listener::Operate => server,
            tls => encryption::encrypt(server, tls),
        };
        Ok((listener, server.observed(observer)))
    };
    [
        (Listener::Common, Some((settings.listen(), common))),
        (Listener::MaxScale, maxscale),
        (Listener::Doris, doris),
        (Listener::Operate, operate),
    ]
    .into_iter()
    .filter_map(|(listener, own)| Some(bind(listener, own?)))
    .collect()
}

/// The first line of output: where people and programs find the server and its log. Then a line
/// for each frontend that is found elsewhere.
fn announce(
    servers: &[(Listener, HttpServer)],
    begun: &Begun,
    scheme: &str,
) -> std::io::Result<()> {
    let log = if begun.is_read_only {
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
                begun.data.display()
            ),
            _ => format!("{}: {scheme}://{address}\n", listener.words()),
        };
    }
    // At once, since some read the first line only, and leave.
    let mut out = std::io::stdout();
    out.write_all(lines.as_bytes())?;
    out.flush()
}

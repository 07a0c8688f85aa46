//! `rejoin serve`: opens the engine on the log, serves the frontends, and shuts everything down in
//! the reverse order on a signal.

mod access;
#[cfg(feature = "cluster")]
mod cluster;
#[cfg(not(feature = "cluster"))]
#[path = "alone.rs"]
mod cluster;
mod descriptors;
mod encryption;
mod init;
mod journal;
mod limits;
mod listeners;
mod log_output;
mod notify;
mod sockets;
mod webhooks;

use crate::args::ServeArgs;
use crate::commands::verify::{check_finished, find_log};
use crate::offline::OfflineError;
use crate::settings::{Address, Settings};
use async_signal::{Signal, Signals};
use cluster::Member;
use futures::future::{Either, join, join_all, select};
use futures::stream::Peekable;
use futures::{FutureExt, StreamExt};
use listeners::Listener;
use log_output::LogOutput;
use rejoin_admin::WebhookMetrics;
use rejoin_core::{Timestamp, Violation};
use rejoin_engine::{
    Config, Engine, EngineBuilder, JobUser, OpenError, Runtime, Services, ShellRunner, SmolRuntime,
    Unavailable,
};
use rejoin_http::{HttpServer, ListenAddress, Shutdown};
use rejoin_log::segment::OpenError as LogError;
use sockets::Sockets;
use std::error::Error;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::pin::{Pin, pin};
use std::process::ExitCode;
use std::sync::Arc;

/// Serves until a signal comes or the engine fails.
pub(crate) fn run(args: ServeArgs) -> Result<ExitCode, ServeError> {
    if init::adopts_orphans() {
        return init::run().map_err(start_error);
    }
    serve_here(args).map(|()| ExitCode::SUCCESS)
}

fn serve_here(args: ServeArgs) -> Result<(), ServeError> {
    let mut settings = args.settings;
    if let Some(file) = &args.config {
        settings = settings.or(Settings::read(file).map_err(start_error)?);
    }
    settings.use_old_admin_listen().map_err(start_error)?;
    let output = LogOutput::start(&settings).map_err(start_error)?;
    let read_only = args
        .read_only
        .map(|directory| directory.unwrap_or_else(|| settings.data()));
    smol::block_on(serve(&settings, read_only.as_deref(), &output))
}

/// The first argument of this program where it becomes the shell of a job.
pub(crate) const START_JOB: &str = "start-job";

/// Why the server did not start, or stopped.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ServeError {
    /// It could not start.
    #[error(transparent)]
    Start(Box<dyn Error + Send + Sync>),
    /// The log is damaged. Nothing was changed.
    #[error(
        "{error}; the server did not start and changed nothing: `rejoin verify {}` shows what is \
         missing and what is still readable",
        data.display()
    )]
    Damaged { data: PathBuf, error: LogError },
    /// Without accounts, anyone who can reach the address could run commands on this machine.
    #[error(
        "refusing to listen on {address}: there are no accounts in {}, so anyone who can reach that \
         address could run commands here; add one with `rejoin user add`, or use a loopback \
         address such as 127.0.0.1",
        accounts.display()
    )]
    NotLoopback { address: Address, accounts: PathBuf },
    /// The settings name an accounts file, but it has no accounts.
    #[error("there are no accounts in {}: add one with `rejoin user add`", .0.display())]
    NoAccounts(PathBuf),
    /// The log contains a record that breaks a rule of the engine.
    #[error("the log in {} contains an invalid record: {}", .0.display(), .1)]
    InvalidLog(PathBuf, Violation),
    /// A second signal came before the shutdown was complete.
    #[error(
        "received a second signal and stopped at once: the next start marks running jobs as lost"
    )]
    Killed,
    /// The engine failed.
    #[error("{0}; restart the server to continue from the log")]
    Stopped(Unavailable),
}

fn start_error(error: impl Into<Box<dyn Error + Send + Sync>>) -> ServeError {
    ServeError::Start(error.into())
}

/// The engine on its open log.
struct OpenedEngine {
    engine: Engine,
    /// None if the log is only read.
    shell: Option<ShellRunner>,
    /// The server's directory, or the directory of the log if that is only read.
    data: PathBuf,
    /// The directory of the log that belongs to this server.
    log_directory: PathBuf,
    /// If it is one of several nodes.
    member: Option<Member>,
    is_read_only: bool,
    started_at: Timestamp,
    webhooks: Arc<WebhookMetrics>,
}

async fn serve(
    settings: &Settings,
    read_only: Option<&Path>,
    output: &LogOutput,
) -> Result<(), ServeError> {
    let accounts = access::accounts(settings, read_only)?;
    let tls = encryption::open(settings)?;
    let webhooks = settings.webhooks().map_err(start_error)?;
    // From here on, a signal shuts the server down cleanly, even while it reads the log.
    let signals = Signals::new([Signal::Term, Signal::Int]).map_err(start_error)?;
    let mut signals = signals.peekable();
    let open_files = descriptors::raise_limit();
    let Some(mut opened) = open_engine(settings, read_only, &mut signals).await? else {
        return Ok(());
    };
    access::share(&accounts, settings, &opened).await?;
    let sockets = Sockets::of(settings).map_err(start_error)?;
    let servers = listeners::bind(
        settings,
        &sockets,
        &opened,
        output,
        &accounts,
        tls.as_ref(),
        open_files,
    );
    let servers = servers.map_err(start_error)?;
    webhooks::start(webhooks, &opened).map_err(start_error)?;
    output.flush();
    // Where standard output can't be written, requests can still be answered.
    if let Err(error) = announce(&servers, &opened, encryption::scheme(tls.as_ref())) {
        tracing::warn!(%error, "cannot write to standard output");
    }
    notify::ready();
    serve_until_signal(settings, &opened, servers, signals).await?;
    if let Some(member) = opened.member.take() {
        member.leave().await;
    }
    Ok(())
}

/// Signals of which the next one can be seen without taking it.
type WaitingSignals = Peekable<Signals>;

/// Opens the engine on the log of the data directory, or on a log that is only read. None: a signal came
/// before this server had joined its cluster.
async fn open_engine(
    settings: &Settings,
    read_only: Option<&Path>,
    signals: &mut WaitingSignals,
) -> Result<Option<OpenedEngine>, ServeError> {
    let started_at = SmolRuntime.now();
    let data = read_only.map_or_else(|| settings.data(), Path::to_owned);
    let mut shell = ShellRunner::default()
        .with_grace(settings.interrupt_grace())
        .with_leftovers_kept(settings.keeps_leftovers());
    if let Some(keeper) = settings.keeper() {
        shell = shell.with_keeper(keeper);
    }
    if let Some(login_shell) = settings.shell().filter(|_| read_only.is_none()) {
        shell = shell.with_login_shell(login_shell).map_err(start_error)?;
    }
    if let Some(name) = settings.job_user().filter(|_| read_only.is_none()) {
        shell = shell.with_user(job_user(name)?);
    }
    let (builder, log_directory, mut member) = match read_only {
        Some(directory) => {
            let (log, _) = find_log(directory).map_err(start_error)?;
            let builder = Engine::builder(&data).config(settings.engine());
            (builder.log_directory(log.clone()).read_only(), log, None)
        }
        None => {
            check_finished(&data).map_err(start_error)?;
            let services = settings.services(&shell).map_err(start_error)?;
            check_arthas_service(settings, &services)?;
            check_directory(settings, &data)?;
            let config = settings.engine();
            let (builder, log, member) = match join_cluster(settings, &config, signals).await? {
                Joined::Interrupted => return Ok(None),
                Joined::Alone => {
                    let builder = Engine::builder(&data).config(config);
                    (
                        builder.log_options(settings.log()),
                        data.join(LOG_OF_ONE),
                        None,
                    )
                }
                Joined::Node(node) => {
                    let (builder, config, member) = *node;
                    let log = member.log_directory();
                    (builder.config(config), log, Some(member))
                }
            };
            let builder = services
                .into_iter()
                .fold(builder, |builder, (name, runner)| {
                    builder.shared_service(name, runner)
                });
            (builder, log, member)
        }
    };
    let is_read_only = read_only.is_some();
    let engine = builder.open().await.map_err(|error| match error {
        OpenError::Log(error @ LogError::Damaged(_)) => ServeError::Damaged {
            data: data.clone(),
            error,
        },
        OpenError::Log(LogError::Locked { directory }) if is_read_only => {
            start_error(OfflineError::InUse(directory))
        }
        OpenError::NoLog(directory) => start_error(OfflineError::NoLog(directory)),
        OpenError::Invalid(violation) => ServeError::InvalidLog(data.clone(), violation),
        error => start_error(error),
    })?;
    if let Some(member) = &mut member {
        member.start(&engine, signals).await?;
    }
    let shown = if is_read_only { &log_directory } else { &data };
    Ok(Some(OpenedEngine {
        engine,
        shell: (!is_read_only).then_some(shell),
        data: shown.canonicalize().unwrap_or_else(|_| shown.clone()),
        log_directory: log_directory.canonicalize().unwrap_or(log_directory),
        member,
        is_read_only,
        started_at,
        webhooks: Arc::default(),
    }))
}

/// How a server begins.
enum Joined {
    /// It has no cluster.
    Alone,
    /// It is a node: the engine on its log, its settings, and its part in the cluster.
    Node(Box<(EngineBuilder, Config, Member)>),
    /// A signal came before it had joined its cluster.
    Interrupted,
}

/// Joins the cluster, if the settings name one.
async fn join_cluster(
    settings: &Settings,
    config: &Config,
    signals: &mut WaitingSignals,
) -> Result<Joined, ServeError> {
    let joining = pin!(cluster::join(settings, config));
    match select(joining, Pin::new(signals).peek()).await {
        Either::Left((joined, _)) => Ok(match joined? {
            None => Joined::Alone,
            Some(node) => Joined::Node(Box::new(node)),
        }),
        Either::Right((signal, _)) => {
            let signal = signal_name(signal.and_then(|it| it.as_ref().ok().copied()));
            tracing::info!("received {signal} before this node had joined its cluster, ends");
            Ok(Joined::Interrupted)
        }
    }
}

/// The log of a server that is alone, and the copies of the logs of several nodes, in its directory.
const LOG_OF_ONE: &str = "log";
const LOGS_OF_NODES: &str = "logs";

/// A server that is alone and a node of a cluster have different logs: neither starts empty in the directory of
/// the other.
fn check_directory(settings: &Settings, data: &Path) -> Result<(), ServeError> {
    let is_node = settings.cluster().is_set();
    let (other, reason) = match is_node {
        true => (
            LOG_OF_ONE,
            "has the log of a server that is alone: start it without --cluster, or choose another directory",
        ),
        false => (
            LOGS_OF_NODES,
            "belongs to a node of a cluster: start it with --cluster, or choose another directory",
        ),
    };
    match data.join(other).exists() {
        false => Ok(()),
        true => Err(start_error(format!("{} {reason}", data.display()))),
    }
}

/// Arthas' clients can't say which service they mean: theirs has to be one of those that there are.
fn check_arthas_service(settings: &Settings, services: &Services) -> Result<(), ServeError> {
    let Some(wanted) = settings.arthas_service() else {
        return Ok(());
    };
    match services.contains_key(wanted) {
        true => Ok(()),
        false => Err(start_error(format!(
            "arthas-service: there is no service called {wanted}; add [services.{wanted}] to the \
             settings file"
        ))),
    }
}

fn job_user(name: &str) -> Result<JobUser, ServeError> {
    let launcher = std::env::current_exe()
        .and_then(|program| JobUser::look_up(name, vec![program.into(), START_JOB.into()]));
    launcher
        .map_err(|error| start_error(format!("cannot run commands as the user {name}: {error}")))
}

/// Serves requests until a signal comes or the engine stops. A second signal stops it at once.
async fn serve_until_signal(
    settings: &Settings,
    opened: &OpenedEngine,
    servers: Vec<(Listener, HttpServer)>,
    mut signals: WaitingSignals,
) -> Result<(), ServeError> {
    let engine = &opened.engine;
    let shutdown = Shutdown::new();
    let second_signal = async {
        let first = match select(signals.next(), pin!(engine.ended())).await {
            Either::Left((signal, _)) => signal.and_then(Result::ok),
            Either::Right(_) => None,
        };
        // None: the engine has failed, which ends the server as a first signal does.
        if first.is_some() {
            let signal = signal_name(first);
            tracing::info!("received {signal}, shutting down (send it again to stop at once)");
        }
        notify::stopping();
        if let Some(member) = &opened.member {
            member.begin_leaving();
        }
        engine.begin_closing();
        shutdown.trigger();
        if first.is_none() {
            signals.next().await;
        }
        signals.next().await
    };
    let serving = async {
        let servers = servers
            .into_iter()
            .map(|(listener, server)| server.run(stop_of(listener, &shutdown, engine)));
        let shut_down = async {
            shutdown.wait().await;
            match settings.keeps_jobs() {
                true => engine.shut_down_and_keep_jobs().await,
                false => shut_down(settings, opened).await,
            }
        };
        join(join_all(servers), shut_down).await
    };
    let (stopped, ended) = match select(pin!(serving), pin!(second_signal)).await {
        Either::Left((outcome, _)) => outcome,
        Either::Right(_) => {
            let failed = match engine.ended().now_or_never() {
                None | Some(Unavailable::ShuttingDown) => None,
                Some(failed) => Some(failed),
            };
            opened
                .end_processes(keeps_jobs(settings, failed.as_ref()))
                .await;
            return Err(failed.map_or(ServeError::Killed, ServeError::Stopped));
        }
    };
    let failed = Some(&ended).filter(|it| !matches!(it, Unavailable::ShuttingDown));
    let killed = opened.end_processes(keeps_jobs(settings, failed)).await;
    if killed > 0 {
        tracing::warn!(processes = killed, "killed what was still running");
    }
    for outcome in stopped {
        outcome.map_err(start_error)?;
    }
    match ended {
        Unavailable::ShuttingDown => Ok(()),
        failed => Err(ServeError::Stopped(failed)),
    }
}

/// Shuts the engine down. A node does not wait for servers of NATS for ever.
async fn shut_down(settings: &Settings, opened: &OpenedEngine) -> Unavailable {
    let grace = settings.shutdown_grace();
    let ending = pin!(opened.engine.shut_down(grace));
    let Some(member) = &opened.member else {
        return ending.await;
    };
    let patience = SmolRuntime.timer(grace.saturating_add(member.patience()));
    match select(ending, patience).await {
        Either::Left((ended, _)) => ended,
        Either::Right(((), ending)) => {
            tracing::warn!("the servers of NATS do not answer, ends without them");
            member.give_up_appends();
            ending.await
        }
    }
}

/// Whether running jobs are left to their keepers: after a failure, always.
fn keeps_jobs(settings: &Settings, failed: Option<&Unavailable>) -> bool {
    match failed {
        None => settings.keeps_jobs(),
        Some(_) => settings.keeper().is_some(),
    }
}

const fn signal_name(signal: Option<Signal>) -> &'static str {
    match signal {
        Some(Signal::Term) => "SIGTERM",
        _ => "SIGINT",
    }
}

/// Completes when a listener has to stop: health checks are answered until the engine has ended.
async fn stop_of(listener: Listener, shutdown: &Shutdown, engine: &Engine) {
    shutdown.wait().await;
    if listener == Listener::Admin {
        engine.ended().await;
    }
}

impl OpenedEngine {
    /// Kills the processes of jobs that still run, or only those of sessions that are closed. Returns
    /// their number.
    async fn end_processes(&self, keeps_jobs: bool) -> usize {
        let Some(shell) = &self.shell else {
            return 0;
        };
        let engine = self.engine.clone();
        let is_open = move |session| {
            engine
                .session_view(session)
                .is_some_and(|it| it.closed.is_none())
        };
        match keeps_jobs {
            true => shell.detach(is_open).await,
            false => shell.sweep().await,
        }
    }
}

/// A line for what went on of the previous server, and one for each reason why something did not.
fn took_over(opened: &OpenedEngine) -> String {
    let commands = |count: usize| match count {
        1 => "1 command".to_owned(),
        count => format!("{count} commands"),
    };
    let takeover = opened.engine.takeover();
    let mut lines = String::new();
    if takeover.kept > 0 {
        let commands = commands(takeover.kept);
        lines += &format!("Went on with {commands} of the previous server\n");
    }
    for (reason, count) in &takeover.lost {
        let commands = commands(*count);
        lines += &format!("Lost {commands} of the previous server ({reason})\n");
    }
    let status = opened.shell.as_ref().map(ShellRunner::keeper_status);
    let unknown = status.map_or(0, |status| status.unknown_jobs);
    if let Ok(unknown @ 1..) = usize::try_from(unknown) {
        let commands = commands(unknown);
        lines += &format!(
            "Ended {commands} of a server before that the log does not know: is it an older copy?\n"
        );
    }
    lines
}

/// Prints where the server and its log are, a line for each separate address, and what it took over.
fn announce(
    servers: &[(Listener, HttpServer)],
    opened: &OpenedEngine,
    scheme: &str,
) -> std::io::Result<()> {
    let log = match opened.is_read_only {
        true => "and only reads the log",
        false => "with its log",
    };
    let mut lines = String::new();
    for (listener, server) in servers {
        let address = match server.address() {
            ListenAddress::Tcp(address) => format!("{scheme}://{address}"),
            socket => socket.to_string(),
        };
        lines += &match listener {
            Listener::Common => format!(
                "Rejoin listens on {address}, {log} in {}\n",
                opened.data.display()
            ),
            separate => format!("{}: {address}\n", separate.title()),
        };
    }
    if let Some(member) = &opened.member {
        lines += &member.announcement();
    }
    lines += &took_over(opened);
    // One write: some programs read only the first line, and then close the pipe.
    let mut out = std::io::stdout();
    out.write_all(lines.as_bytes())?;
    out.flush()
}

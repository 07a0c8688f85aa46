//! What an engine has once, however many logs it has: what readers see of all of them, its services and
//! its settings.

use crate::clock::Clock;
use crate::committed::Committed;
use crate::committed::log_reads::LogReadQueue;
use crate::jobs::builtin::Builtin;
use crate::jobs::supervisor::Services;
use crate::logs::Logs;
use crate::peers::Peers;
use crate::read_only_gate::ReadOnlyGate;
use crate::screens::Screens;
use crate::stats::Counts;
use crate::takeover::Takeover;
use crate::viewers::Viewers;
use crate::{Config, Runtime};
use rejoin_core::Views;
use rejoin_log::segment::LogMetrics;
use std::sync::{Arc, OnceLock};

/// Shared by all handles of an engine. Threads and tasks hold parts of it and never all: when the last
/// handle is dropped, the logs' requests end, and with them all else.
#[derive(Debug)]
pub(crate) struct Node {
    pub(crate) config: Config,
    pub(crate) runtime: Arc<dyn Runtime>,
    /// What it is for readers.
    pub(crate) clock: Arc<Clock>,
    pub(crate) services: Arc<Services>,
    /// The statements that every session answers.
    pub(crate) builtin: Arc<Builtin>,
    pub(crate) committed: Arc<Committed>,
    pub(crate) log_reads: LogReadQueue,
    pub(crate) counts: Arc<Counts>,
    pub(crate) screens: Screens,
    pub(crate) gate: ReadOnlyGate,
    pub(crate) viewers: Arc<Viewers>,
    pub(crate) logs: Arc<Logs>,
    /// Asks the other nodes. None: there are none.
    pub(crate) peers: Option<Arc<dyn Peers>>,
    pub(crate) log_metrics: Option<Arc<LogMetrics>>,
    /// Set when the first log is owned.
    pub(crate) takeover: OnceLock<Takeover>,
}

impl Node {
    /// A node that has these views, and no log yet.
    pub(crate) fn new(
        config: Config,
        runtime: Arc<dyn Runtime>,
        services: Services,
        clock: Arc<Clock>,
        views: Views,
        peers: Option<Arc<dyn Peers>>,
        log_metrics: Option<Arc<LogMetrics>>,
    ) -> Self {
        let counts = Arc::new(Counts::new());
        let committed = Arc::new(Committed::new(views, config.recent_bytes));
        Self {
            log_reads: LogReadQueue::start(&runtime),
            screens: Screens::start(&runtime, committed.clone()),
            builtin: Arc::new(Builtin::new(committed.clone(), config.server.clone())),
            gate: ReadOnlyGate::new(config.read_only),
            services: Arc::new(services),
            viewers: Arc::default(),
            logs: Arc::new(Logs::new(config.numbering)),
            peers,
            takeover: OnceLock::new(),
            config,
            clock,
            runtime,
            committed,
            counts,
            log_metrics,
        }
    }
}

//! The metrics of the engine, the log and the HTTP servers: names, units and help texts.

use crate::text::Text;
use crate::{AdminState, WebhookMetrics};
use rejoin_accounts::Accounts;
use rejoin_accounts::limits::ALL_SHARED_LOGINS;
use rejoin_engine::peers::{ClusterStatus, LogActivity, LogStatus};
use rejoin_engine::{EngineStatus, KeeperStatus, Label, Stats, Takeover, Totals};
use rejoin_http::{HttpMetrics, STATUS_CLASSES};

/// Microseconds per second: durations are counted in microseconds and reported in seconds.
const MICROS: f64 = 1e6;

pub(crate) fn build(text: &mut Text, state: &AdminState) {
    text.gauge("rejoin_build_info", "Always 1; the labels say what runs.")
        .of(&[("version", state.version)], 1);
    text.counter(
        "rejoin_stderr_lost_lines_total",
        "Log lines that could not be written to standard error.",
    )
    .is(state.lost_lines.get());
}

pub(crate) fn engine(text: &mut Text, stats: &Stats) {
    let is_ready = u8::from(stats.status == EngineStatus::Running);
    text.gauge(
        "rejoin_ready",
        "Whether commands are taken: 1, or 0 while the server ends.",
    )
    .is(is_ready);
    sessions(text, stats);
    jobs(text, stats);
    commands(text, stats);
    text.counter("rejoin_log_records_total", "Records appended to the log.")
        .is(stats.records);
    text.histogram("rejoin_log_batch_records", "Records of each append.", 1.0)
        .distribution(&[], &stats.batches);
    text.gauge(
        "rejoin_pulls_open",
        "Pulls of consumers that wait or are served.",
    )
    .is(stats.pulls);
    text.gauge(
        "rejoin_recent_bytes",
        "Bytes of recent records in memory, about.",
    )
    .is(stats.recent_bytes);
    text.gauge(
        "rejoin_recent_limit_bytes",
        "How many of them there may be.",
    )
    .is(stats.recent_limit);
    screens(text, stats);
    let help = "Redactions that the log has not carried out in all files yet.";
    text.gauge("rejoin_redactions_pending", help)
        .is(stats.pending_redactions);
    let help = "How many there may be; further ones are refused.";
    text.gauge("rejoin_redactions_pending_limit", help)
        .is(stats.pending_redactions_limit);
    text.counter(
        "rejoin_clock_jumps_total",
        "Times that the wall clock was found set, or the machine suspended. No timeout follows it.",
    )
    .is(stats.clock_jumps);
    text.gauge(
        "rejoin_clock_behind_seconds",
        "How far the wall clock is behind the last record. Until then, times of records stand still.",
    )
    .is(stats.clock_behind.as_secs_f64());
    let reads = [("memory", stats.recent_hits), ("log", stats.recent_misses)];
    text.counter(
        "rejoin_reads_total",
        "Reads of records, by where they were found.",
    )
    .each("from", reads);
}

fn screens(text: &mut Text, stats: &Stats) {
    let help = "Screens of running terminals that are kept up to date in memory.";
    text.gauge("rejoin_screens", help).is(stats.screens);
    let help = "How many there may be. The others are computed when somebody asks for them.";
    text.gauge("rejoin_screens_limit", help)
        .is(stats.screens_limit);
    let help = "Characters of these screens. Each takes about twenty bytes.";
    text.gauge("rejoin_screen_cells", help)
        .is(stats.screen_cells);
    let help = "How many characters there may be.";
    text.gauge("rejoin_screen_cells_limit", help)
        .is(stats.screen_cells_limit);
}

fn sessions(text: &mut Text, stats: &Stats) {
    text.gauge("rejoin_sessions_open", "Sessions that are open.")
        .is(stats.sessions);
    text.counter("rejoin_sessions_created_total", "Sessions created.")
        .is(stats.sessions_created);
    text.counter("rejoin_sessions_closed_total", "Sessions closed, by cause.")
        .each("cause", named(&stats.sessions_closed));
    text.gauge("rejoin_consumers", "Consumers of open sessions.")
        .is(stats.consumers);
    text.counter(
        "rejoin_consumers_joined_total",
        "Consumers that joined a session.",
    )
    .is(stats.consumers_joined);
    text.counter(
        "rejoin_consumers_left_total",
        "Consumers that left, by cause.",
    )
    .each("cause", named(&stats.consumers_left));
}

fn jobs(text: &mut Text, stats: &Stats) {
    text.gauge("rejoin_jobs_running", "Jobs submitted and not finished.")
        .is(stats.jobs);
    text.counter("rejoin_jobs_submitted_total", "Jobs submitted.")
        .is(stats.jobs_submitted);
    text.counter("rejoin_jobs_finished_total", "Jobs finished, by outcome.")
        .each("outcome", named(&stats.jobs_finished));
    text.counter("rejoin_results_total", "Results emitted by jobs.")
        .is(stats.results);
    text.counter(
        "rejoin_result_bytes_total",
        "Bytes of results, as they are logged.",
    )
    .is(stats.result_bytes);
}

/// This server as one of several nodes.
pub(crate) fn cluster(text: &mut Text, cluster: &ClusterStatus) {
    let help = "Whether this node is neither cut off nor behind: 1, or 0.";
    text.gauge("rejoin_cluster_ready", help)
        .is(u8::from(cluster.unready().is_none()));
    let help = "Whether the NATS servers have no room for what this node writes: 1, or 0.";
    text.gauge("rejoin_cluster_no_room", help)
        .is(u64::from(cluster.no_room.is_some()));
    let help = "How long the servers of NATS have not answered this node; up to 2 are usual.";
    text.gauge("rejoin_cluster_unanswered_seconds", help)
        .is(cluster.unanswered.as_secs());
    let help = "Nodes that are alive, this one included.";
    text.gauge("rejoin_cluster_nodes", help)
        .is(cluster.live().count() as u64);
    let waiting = cluster.logs.values().map(|log| log.append_waiting).max();
    let help = "How long the servers of NATS have not answered what this node is writing to a log; the longest.";
    text.gauge("rejoin_append_waiting_seconds", help)
        .is(waiting.unwrap_or_default().as_secs_f64());
    let logs: Vec<_> = cluster
        .logs
        .iter()
        .map(|(number, log)| (number.to_string(), log))
        .collect();
    let mut each = |name: &str, help: &str, value: &dyn Fn(&LogStatus) -> u64| {
        let values = logs.iter().map(|(number, log)| (&**number, value(log)));
        text.gauge(name, help).each("log", values);
    };
    each(
        "rejoin_log_owner",
        "Whether this node writes the log: 1, or 0 if another one does or none.",
        &|log| u64::from(log.activity == LogActivity::Writing),
    );
    let help = "Grows each time that a node takes the log.";
    each("rejoin_log_term", help, &|log| log.term);
    let help = "Records of the log that this node has.";
    each("rejoin_log_position", help, &|log| log.position);
    let help = "Records of the log that this node does not have, of those that its writer had a second ago.";
    each("rejoin_tail_lag_records", help, &LogStatus::lag);
    let help = "Since when this node has not had all records of the log, about; 0 if it has.";
    each("rejoin_tail_lag_seconds", help, &LogStatus::seconds_behind);
    let help = "Bytes of the log's stream at each NATS server, as this node last saw.";
    each("rejoin_log_stream_bytes", help, &|log| {
        log.stream_bytes.unwrap_or(0)
    });
    let help = "Whether the log can't be followed: 1, or 0.";
    each("rejoin_log_faulty", help, &|log| {
        u64::from(log.fault.is_some())
    });
    let total = |count: fn(&LogStatus) -> u64| cluster.logs.values().map(count).sum::<u64>();
    let help = "Logs that this node has taken from others: because they were dead, or had ended.";
    text.counter("rejoin_takeovers_total", help)
        .is(total(|log| log.takeovers));
    let help = "Logs that this node has lost to another one while it wrote them.";
    text.counter("rejoin_fenced_total", help)
        .is(total(|log| log.fenced));
}

/// How near the links to sessions are to their bound.
pub(crate) fn links(text: &mut Text, accounts: &Accounts) {
    let help = "Links to sessions, and those that have ended since links were last changed.";
    text.gauge("rejoin_links", help)
        .is(accounts.link_count() as u64);
    text.gauge("rejoin_links_limit", "How many there may be.")
        .is(accounts.link_limit() as u64);
    let help = "Logins with a login key that have ended, or were used some time after they began, and have not expired.";
    text.gauge("rejoin_noted_logins", help)
        .is(accounts.noted_logins() as u64);
    let help =
        "How many are noted; beyond that, the older logins of the account with most of them end.";
    text.gauge("rejoin_noted_logins_limit", help)
        .is(ALL_SHARED_LOGINS as u64);
}

/// What the start found.
pub(crate) fn takeover(text: &mut Text, takeover: &Takeover) {
    let help = "Jobs of the previous server that this one found running, by what became of them.";
    let found = [
        ("kept", takeover.kept as u64),
        ("lost", takeover.lost() as u64),
    ];
    text.gauge("rejoin_jobs_at_start", help)
        .each("outcome", found);
}

pub(crate) fn keepers(text: &mut Text, keepers: &KeeperStatus) {
    let help = "Keepers, the processes that hold jobs so that these outlive the server.";
    text.gauge("rejoin_keepers", help).is(keepers.keepers);
    let help = "How many there may be; further jobs share them. 0: jobs end with the server.";
    text.gauge("rejoin_keepers_limit", help).is(keepers.limit);
    let help = "Keepers that ended by themselves or were killed. Their jobs are lost.";
    text.counter("rejoin_keepers_lost_total", help)
        .is(keepers.lost);
    text.gauge("rejoin_keeper_jobs", "Jobs that keepers hold.")
        .is(keepers.jobs);
    let help = "Bytes of output that keepers hold until the log has them.";
    text.gauge("rejoin_keeper_unsettled_bytes", help)
        .is(keepers.unsettled_bytes);
    let help = "Jobs that keepers held and that were ended at the start, because the log did not know them.";
    text.gauge("rejoin_keeper_unknown_jobs", help)
        .is(keepers.unknown_jobs);
}

pub(crate) fn webhooks(text: &mut Text, webhooks: &WebhookMetrics) {
    let help = "Messages for webhooks: those that arrived, and those that never will.";
    let results = [
        ("delivered", webhooks.delivered.get()),
        ("dropped", webhooks.dropped.get()),
        ("given-up", webhooks.given_up.get()),
    ];
    text.counter("rejoin_webhook_messages_total", help)
        .each("result", results);
    let help = "Attempts to deliver to a webhook that failed.";
    text.counter("rejoin_webhook_failures_total", help)
        .is(webhooks.failed.get());
    let help = "Messages that wait for a webhook.";
    text.gauge("rejoin_webhook_waiting", help)
        .is(webhooks.waiting.get());
}

fn commands(text: &mut Text, stats: &Stats) {
    let help = "Commands decided, by kind and by whether they were accepted.";
    let mut commands = text.counter("rejoin_commands_total", help);
    for (decision, counts) in [("accepted", &stats.accepted), ("refused", &stats.refused)] {
        for (kind, count) in named(counts) {
            commands.of(&[("kind", kind), ("decision", decision)], count);
        }
    }
    text.counter("rejoin_rejections_total", "Commands refused, by reason.")
        // Always 0. Kept because existing dashboards may use it.
        .each("reason", named(&stats.rejections).chain([("other", 0)]));
    text.gauge("rejoin_queue_length", "Requests that wait to be decided.")
        .is(stats.queue);
    text.gauge("rejoin_queue_limit", "How many may wait.")
        .is(stats.queue_limit);
    text.counter(
        "rejoin_overloaded_total",
        "Requests refused because too many waited.",
    )
    .is(stats.overloaded);
}

fn named<L: Label>(totals: &Totals<L>) -> impl Iterator<Item = (&'static str, u64)> {
    totals.iter().map(|(label, total)| (label.label(), total))
}

pub(crate) fn log(text: &mut Text, log: &rejoin_log::segment::LogMetrics) {
    text.counter(
        "rejoin_log_written_bytes_total",
        "Bytes of batches written to the log.",
    )
    .is(log.bytes.get());
    let help = "How long each sync of a batch took the disk; none with --durability flush.";
    text.histogram("rejoin_log_sync_seconds", help, MICROS)
        .distribution(&[], &log.syncs.read());
}

/// How near the servers are to their bounds.
pub(crate) fn http_bounds(text: &mut Text, state: &AdminState) {
    let help = "How many connections may be open.";
    text.gauge("rejoin_http_connections_limit", help)
        .is(state.connections_limit);
    let help = "Silent connections closed to make room for new ones.";
    text.counter("rejoin_http_connections_silent_closed_total", help)
        .is(state.http.silent_closed.get());
    let bodies = &state.bodies;
    let help = "Bytes of requests' bodies in memory, without the first 16 KiB of each.";
    text.gauge("rejoin_http_bodies_bytes", help)
        .is(bodies.used());
    text.gauge("rejoin_http_bodies_limit_bytes", "How many there may be.")
        .is(bodies.limit());
    let help = "Requests refused because too much of other bodies was in memory.";
    text.counter("rejoin_http_bodies_refused_total", help)
        .is(bodies.refused());
    let help = "Bytes of responses that clients do not take.";
    text.gauge("rejoin_http_unread_bytes", help)
        .is(state.unread.used());
    text.gauge("rejoin_http_unread_limit_bytes", "How many there may be.")
        .is(state.unread.limit());
    let help = "Connections closed because too much was held for clients that took nothing.";
    text.counter("rejoin_http_unread_closed_total", help)
        .is(state.http.unread_closed.get());
    let answers = &state.exec_answers;
    let help = "Bytes of results of exec commands in memory.";
    text.gauge("rejoin_exec_answers_bytes", help)
        .is(answers.used());
    text.gauge("rejoin_exec_answers_limit_bytes", "How many there may be.")
        .is(answers.limit());
    let help = "Exec commands whose results were read from the log because of it.";
    text.counter("rejoin_exec_answers_refused_total", help)
        .is(answers.refused());
}

pub(crate) fn http(text: &mut Text, http: &HttpMetrics) {
    text.gauge("rejoin_http_connections_open", "Connections that are open.")
        .is(http.connections.get());
    text.counter(
        "rejoin_http_connections_total",
        "Connections accepted from the kernel.",
    )
    .is(http.accepted.get());
    let help = "Connections refused because all were taken.";
    text.counter("rejoin_http_connections_refused_total", help)
        .is(http.refused.get());
    text.gauge(
        "rejoin_http_streams_open",
        "Answers that go on, as Server-Sent Events do.",
    )
    .is(http.streams.get());
    let help = "Answers that are being compressed; max-compressed is the limit.";
    text.gauge("rejoin_http_compressed_open", help)
        .is(http.compressed.get());

    let each = |read: fn(&rejoin_http::FrontendMetrics) -> u64| {
        http.frontends()
            .iter()
            .map(move |frontend| (frontend.name, read(frontend)))
    };
    text.gauge(
        "rejoin_http_requests_open",
        "Requests being answered, by frontend.",
    )
    .each("frontend", each(|frontend| frontend.open.get()));
    let help = "Requests by frontend and by class of status; left: the client went first.";
    let mut requests = text.counter("rejoin_http_requests_total", help);
    for frontend in http.frontends() {
        for class in STATUS_CLASSES {
            let labels = [("frontend", frontend.name), ("class", class)];
            requests.of(&labels, frontend.requests(class).unwrap_or_default());
        }
    }
    text.counter(
        "rejoin_http_response_bytes_total",
        "Bytes of answers' bodies, by frontend.",
    )
    .each("frontend", each(|frontend| frontend.bytes.get()));
    let help = "From a request's head to the last of its answer; waits and streams included.";
    let mut durations = text.histogram("rejoin_http_request_seconds", help, MICROS);
    for frontend in http.frontends() {
        durations.distribution(&[("frontend", frontend.name)], &frontend.micros.read());
    }
}

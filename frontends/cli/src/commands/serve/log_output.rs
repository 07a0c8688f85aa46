//! The server's log on standard error.

use crate::settings::{LogFormat, LogLevel, Settings};
use std::io::IsTerminal;
use tracing::level_filters::LevelFilter;

/// Starts logging as configured. Call it once.
pub(super) fn start(settings: &Settings) {
    let level = match settings.log_level.unwrap_or_default() {
        LogLevel::Error => LevelFilter::ERROR,
        LogLevel::Warn => LevelFilter::WARN,
        LogLevel::Info => LevelFilter::INFO,
        LogLevel::Debug => LevelFilter::DEBUG,
        LogLevel::Trace => LevelFilter::TRACE,
    };
    let builder = tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_max_level(level);
    match settings.log_format.unwrap_or_default() {
        LogFormat::Human => {
            builder
                .with_ansi(std::io::stderr().is_terminal())
                .with_target(false)
                .init();
        }
        LogFormat::Json => builder.json().flatten_event(true).init(),
    }
}

//! The values of the settings for logging.

use clap::ValueEnum;
use serde::Deserialize;

/// How much to log.
#[derive(Clone, Copy, Debug, Default, Deserialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum LogLevel {
    Error,
    Warn,
    #[default]
    Info,
    Debug,
    Trace,
}

/// How to log.
#[derive(Clone, Copy, Debug, Default, Deserialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum LogFormat {
    /// Lines for people, with colours on a terminal
    #[default]
    Human,
    /// One JSON object per line
    Json,
    /// Entries of systemd's journal, with a field of its own for each value
    Journald,
}

/// Which requests to log.
#[derive(Clone, Copy, Debug, Deserialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum LogRequests {
    None,
    Failed,
    All,
}

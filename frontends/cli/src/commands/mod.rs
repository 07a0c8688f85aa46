//! The subcommands: one module each, or one for those that belong together.

pub(crate) mod actions;
pub(crate) mod attach;
mod audit;
pub(crate) mod cluster;
pub(crate) mod export;
pub(crate) mod health;
pub(crate) mod keeper;
pub(crate) mod link;
pub(crate) mod log;
pub(crate) mod man;
pub(crate) mod mcp;
pub(crate) mod redact;
pub(crate) mod replay;
#[cfg_attr(not(feature = "cluster"), path = "restore/without.rs")]
pub(crate) mod restore;
pub(crate) mod run;
pub(crate) mod search;
pub(crate) mod serve;
pub(crate) mod sessions;
pub(crate) mod shell;
pub(crate) mod token;
pub(crate) mod user;
pub(crate) mod verify;
pub(crate) mod wait;

//! Runs the jobs: the supervisor starts each on the runner of its session's service.

pub(crate) mod builtin;
pub(crate) mod runner;
pub(crate) mod stdin;
pub(crate) mod supervisor;

//! What is done with a log that no engine runs on: folding, validating and salvaging its records.

pub(crate) mod salvage;
pub(crate) mod validator;

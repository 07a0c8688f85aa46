//! The log, by its behaviour.

mod archive;
mod commands;
mod common;
mod conformance;
mod damage;
mod faults;
mod files;
mod fixtures;
mod golden;
mod model;
mod read_only;
mod redaction;
mod removal;
mod schema;
mod schema_properties;
mod skipped;
mod snapshot_bytes;
mod verify;

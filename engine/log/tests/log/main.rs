//! The log, by its behaviour.

mod common;
mod conformance;
mod damage;
mod faults;
mod files;
mod fixtures;
mod golden;
mod model;
mod read_only;
mod schema;
mod schema_properties;
mod verify;

//! Tests of the API over a real connection, byte for byte.

mod exec;
mod faults;
mod http;
mod jobs;
mod logins;
mod pulls;
mod sessions;
mod support;
mod timeouts;

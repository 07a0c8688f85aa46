//! The API as its clients see it: over a real connection, byte for byte.

mod exec;
mod faults;
mod http;
mod jobs;
mod logins;
mod pulls;
mod sessions;
mod support;
mod timeouts;

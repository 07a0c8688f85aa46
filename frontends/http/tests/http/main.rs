//! Tests of the server over real loopback connections. Every wait is bounded.

#![expect(clippy::unwrap_used, reason = "a test that can't go on fails")]
#![allow(missing_docs, reason = "a test's name says what it shows")]

mod answers;
mod compression;
mod direct;
mod harness;
mod hostile;
mod hosts;
mod limits;
mod nested;
mod requests;
mod stopping;
mod streams;
mod tls;

//! The seam as its clients see it: a real listener on loopback, one harness, every wait bounded.

#![expect(clippy::unwrap_used, reason = "a test that can't go on fails")]
#![allow(missing_docs, reason = "a test's name says what it shows")]

mod answers;
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

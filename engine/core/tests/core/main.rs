//! Tests of the core through its public API.

mod actors;
mod clocks;
mod consumers;
mod examples;
mod gaps;
mod jobs;
mod numbers;
mod properties;
mod redaction;
mod requests;
mod retention;
mod sessions;
mod views;

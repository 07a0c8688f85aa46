//! Tests of what nodes agree on.

mod claims;
mod message;
mod publication;
mod runs;
mod scripted;

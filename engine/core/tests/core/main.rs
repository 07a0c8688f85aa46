//! The core, by its behaviour.

mod consumers;
mod examples;
mod jobs;
mod properties;
mod sessions;
mod views;

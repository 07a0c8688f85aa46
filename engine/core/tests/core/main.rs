//! The core, by its behaviour.

mod consumers;
mod gaps;
mod jobs;
mod properties;
mod retention;
mod sessions;
mod views;

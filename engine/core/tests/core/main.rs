//! The core, by its behaviour.

mod consumers;
mod jobs;
mod properties;
mod sessions;
mod views;

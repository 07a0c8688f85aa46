//! The core, by its behaviour.

mod consumers;
mod jobs;
mod properties;
mod requests;
mod sessions;
mod views;

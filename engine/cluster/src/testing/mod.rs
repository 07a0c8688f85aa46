//! A model of a message server, with the faults of a real one, and several nodes that share logs on
//! it. The same seed gives the same run.
#![allow(
    clippy::indexing_slicing,
    reason = "an inconsistent simulation should stop the test"
)]

mod model;
mod random;
mod world;

pub use model::{Model, ModelClient, Network, Vices};
pub use world::{BrokenPromise, ClusterMutant, Faults, RunReport, run};

//! The engine of Rejoin.

mod runner;
mod runtime;

pub use runner::{EngineEnded, Exit, Reporter, Runner, RunnerJob, encode_result};
pub use runtime::Runtime;
#[cfg(feature = "smol")]
pub use runtime::SmolRuntime;

//! The engine of Rejoin.

mod runner;
mod runtime;

pub use runner::{EngineEnded, Exit, Reporter, Runner, RunnerJob, encode_result};
#[cfg(all(feature = "shell", unix))]
pub use runner::{OpenShellError, ShellRunner, ShellSettings};
pub use runtime::Runtime;
#[cfg(feature = "smol")]
pub use runtime::SmolRuntime;

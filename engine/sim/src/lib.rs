//! Runs the unmodified engine in a simulated world and checks its promises.
//!
//! One seed decides everything: the order in which tasks run, the virtual time, disk failures,
//! power cuts, backups that are restored, keepers that outlive the process or die, and what clients
//! and jobs do. A run takes a [`Plan`] (a seed and a number of steps)
//! and returns a [`Report`] with the trace and the coverage, or a [`Failure`] that names the
//! broken promise and the command that reproduces it.
//!
//! Invariant: two runs of one plan are identical.
//!
//! A step is one poll of one task. Faults are injected between polls and while the log waits for
//! the disk. Whenever no task can proceed until time passes, nobody may be waiting for something
//! that is already there. After the last step there are no more faults, and the run is drained:
//! all jobs must end and all readers must catch up.
//!
//! - `world`: executor, clock, disk, random numbers and the engine's runtime;
//! - `workload`: clients, viewers, job runners and keepers;
//! - `oracle`: a model of what is durable, and the checks of every answer against it;
//! - `invariants`: what must hold whenever no task can proceed;
//! - `simulation`: one run; `drain`: its end.
//!
//! ```
//! use rejoin_sim::{Plan, run};
//!
//! let plan = Plan { seed: 1, steps: 200, mutant: None };
//! let report = run(plan).expect("every promise is kept");
//! assert!(report.records > 0);
//! ```

mod drain;
mod invariants;
mod mutants;
mod nodes;
mod oracle;
mod simulation;
mod workload;
mod world;

pub use mutants::Mutant;
pub use nodes::{NodesFailure, NodesMutant, NodesPlan, NodesReport, run_nodes};
pub use oracle::{Coverage, Trace};
pub use simulation::{Failure, Plan, Report, run};

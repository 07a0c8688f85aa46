//! The engine of Rejoin, unmodified, in a world where everything happens because a seed says so:
//! its threads take turns on one, its time moves when nothing else can, its disk fails, its
//! machine loses power, its clients give up and its jobs do as they like.
//!
//! What enters: a [`Plan`], which is a seed and a number of steps. What leaves: a [`Report`] with
//! the trace and the ledger, or a [`Failure`] that says which promise was broken and how to see it
//! again. What is never true: that two runs of one plan differ.
//!
//! A step is one poll of one task. Faults come between polls, and while the log waits for the
//! disk. Whenever nothing can go on before time passes, nobody may be waiting for what is already
//! there; and after the last step faults stop, and everything must become quiet.
//!
//! ```
//! use rejoin_sim::{Plan, run};
//!
//! let plan = Plan { seed: 1, steps: 200, mutant: None };
//! let report = run(plan).expect("every promise is kept");
//! assert!(report.records > 0);
//! ```

mod clock;
mod disk;
mod executor;
mod history;
mod invariants;
mod ledger;
mod mutants;
mod quiet;
mod random;
mod readers;
mod recorder;
mod runners;
mod runs;
mod runtime;
mod shadow;
mod simulation;
mod trace;
mod viewers;
mod witness;
mod workload;
mod world;

pub use ledger::Ledger;
pub use mutants::Mutant;
pub use simulation::{Failure, Plan, Report, run};
pub use trace::Trace;

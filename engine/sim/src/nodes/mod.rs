//! Runs several nodes in a simulated world: the real engine, the real driver and the real log in a stream,
//! on a model of the message server, and checks what must hold for all of them.
//!
//! One seed decides everything, as for one engine. Each process of a node has tasks and threads of its own,
//! of which one runs at a time. Processes are killed, stopped and woken, cut off, and end cleanly; the
//! servers elect leaders, lose answers, and are away; questions between nodes are lost or late.
//!
//! - `net`: time, chance, the servers and the network; `threads`: code that blocks;
//! - `server`, `surroundings`, `process`: what is around a node; `runner`, `clients`: who uses it;
//! - `truth`: what the servers have stored of a log; `ledger`, `cursors`: what must be true;
//! - `simulation`: a run, its faults; `drain`: its end.

mod clients;
mod coverage;
mod cursors;
mod drain;
mod ledger;
mod mutants;
mod net;
mod process;
mod runner;
mod server;
mod simulation;
mod surroundings;
mod threads;
mod truth;

pub use mutants::NodesMutant;
pub use simulation::{NodesFailure, NodesPlan, NodesReport, run_nodes};

//! The whole program: the real binary, and requests as real clients send them.

mod bounds;
mod output;
mod process;
mod restarts;
mod server;
mod shell;
mod views;
mod walkthrough;

//! The whole program: the real binary, and requests as real clients send them.

mod bounds;
mod crashes;
mod output;
mod process;
mod replay;
mod restarts;
mod server;
mod shell;
mod verify;
mod views;
mod walkthrough;

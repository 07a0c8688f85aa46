//! The whole program: the real binary, and requests as real clients send them.

mod accounts;
mod admin;
mod arthas;
mod book;
mod bounds;
mod client;
mod crashes;
mod exhaustion;
mod hostile;
mod knocking;
mod mcp;
mod native;
mod openapi;
mod output;
mod process;
mod replay;
mod restarts;
mod retention;
mod salvage;
mod server;
mod shell;
mod story;
mod tls;
mod verify;
mod views;
mod walkthrough;

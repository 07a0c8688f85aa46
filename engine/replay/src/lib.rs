//! What people see of a session's records in a terminal, and recordings of it for players.
//!
//! Pure: records in, bytes out. The command line shows and exports logs with it, and the API sends
//! recordings, so that both say the same about a session.
//!
//! Invariant: records that are missing are always reported.

mod arthas;
mod asciicast;
mod audit;
mod instant;
mod terminals;
mod view;

pub use asciicast::{Asciicast, DEFAULT_SIZE, Recording, Version};
pub use audit::request;
pub use instant::instant;
pub use terminals::{PastTerminals, Terminals, size_of};
pub use view::{
    CLEAR, Output, Printer, Rendered, Style, View, describe, lost, named, output_of, plain,
};

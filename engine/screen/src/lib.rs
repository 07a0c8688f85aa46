//! What a terminal shows after any bytes that a program has written to it.
//!
//! [`Screen`] is for viewers: its [`content`](Screen::content) shows the same on a terminal that comes
//! late. [`Transcript`] is the text that a person saw: the lines that scrolled off, then the last
//! screen. [`Modes`] says how to bring a terminal back to what it was before.
//!
//! Invariant: the same bytes show the same, however they are split.
//!
//! ```
//! use rejoin_screen::Screen;
//!
//! let mut screen = Screen::new(80, 24);
//! screen.feed(b"one\r\n\x1b[31mtw");
//! let mut late = Screen::new(80, 24);
//! late.feed(screen.content().as_bytes());
//! for viewer in [&mut screen, &mut late] {
//!     viewer.feed(b"o\r\n");
//!     assert_eq!(viewer.text().trim_end(), "one\ntwo");
//! }
//! ```

mod decoder;
pub mod limits;
mod modes;
mod screen;
mod sequences;
mod transcript;

pub use avt::{Cell, Color, Line, Pen};
pub use decoder::Decoder;
pub use modes::Modes;
pub use screen::Screen;
pub use transcript::Transcript;

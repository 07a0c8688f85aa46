//! Finds sessions by what they are called and what they ran, and lines in their output.
//!
//! Both search a bounded part and say where to go on, so that a search costs other requests little
//! whatever it is for. Nothing is indexed: sessions are few enough, and output is read from the log
//! about as fast as it can be checked.
//!
//! Events that only their submitter may see are never found.

mod escapes;
mod limits;
mod lines;
mod output;
mod output_search;
mod pattern;
mod position;
mod session_query;
mod session_search;

pub use escapes::PlainText;
pub use lines::LineMatch;
pub use output::{OutputPart, output_part};
pub use output_search::{Found, OutputSearch};
pub use pattern::{Pattern, PatternError, PatternOptions};
pub use position::{OutputPlace, OutputPlaceError};
pub use session_query::{QueryError, SessionQuery};
pub use session_search::{FindSessions, FoundSessions, find_sessions};

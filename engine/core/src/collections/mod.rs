//! Collections that keep memory per session and per consumer small.

mod chunked_vec;
pub(crate) mod packed;
mod rank_set;
mod vec_map;

pub(crate) use chunked_vec::{Chunk, ChunkedVec, Entry};
pub(crate) use rank_set::RankSet;
pub use vec_map::VecMap;

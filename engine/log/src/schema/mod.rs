//! Encodes and decodes records.
//!
//! Invariants: a record has exactly one encoding, which never changes: bytes that decode to a
//! record are the bytes that it encodes to. Decoding arbitrary bytes never panics, and never
//! makes an allocation larger than the input.
//!
//! The bytes contain the moment and the event. Session and sequence are stored outside, where a log
//! needs them to find the record: in a segment's frame, or in the subject of a stream.
//!
//! | type | encoding |
//! | --- | --- |
//! | number | LEB128: seven bits a byte, least significant first, as few bytes as possible |
//! | signed number | zigzag, then as a number |
//! | text | the length in bytes as a number, then UTF-8 |
//! | duration | whole seconds, then the remaining nanoseconds, as two numbers |
//! | token | its 16 bytes |
//! | enum | one byte, from `codes.rs` |
//! | optional value | byte 0, or byte 1 and then the value |
//!
//! A record is its time (milliseconds since the Unix epoch, a number), the event's tag (one byte,
//! from `codes.rs`), and the event's fields in the order of their declaration. If the log's clock
//! shows something else than the time, as it does once the wall clock was set, byte 128 stands before
//! the tag, and how far the time is ahead of that clock (in milliseconds, a signed number). If somebody
//! asked for the event, byte 129 stands right before the tag, and the actor: the account (optional), the
//! access token's name (optional), the frontend, and the address (optional), all texts. If the bytes of the
//! event were redacted, byte 42 stands right before the tag, when that was asked for (as the time), and by
//! whom (an optional actor).
//!
//! Tags and codes never change. A field is never added to an event that has been released: the
//! event gets a new tag, and the old one can still be read.
//!
//! ```
//! use rejoin_core::{Event, Record, Sequence, SessionId, Timestamp};
//! use rejoin_log::schema;
//!
//! let record = Record {
//!     session: SessionId::from_bytes([7; 16]),
//!     sequence: Sequence(2),
//!     at: Timestamp::from_millis(300),
//!     clock: Timestamp::from_millis(300).into(),
//!     actor: None, redacted: None,
//!     event: Event::SessionResumed,
//! };
//! let mut bytes = Vec::new();
//! schema::encode(&record, &mut bytes);
//! assert_eq!(bytes, [0xac, 0x02, 2]);
//! assert_eq!(schema::decode(record.session, record.sequence, &bytes), Ok(record));
//! ```

mod bytes;
mod codes;
mod command;
mod decode;
mod encode;
mod snapshot;

pub use command::{decode_command, decode_rejection, encode_command, encode_rejection};
pub(crate) use decode::removes_before;
pub use decode::{DecodeError, decode};
pub use encode::encode;
pub use snapshot::{decode_snapshot, encode_snapshot};

pub(crate) use bytes::{Parts, put_number};
pub(crate) use snapshot::{SNAPSHOT_VERSION, WITHOUT_CLOCK, decode_snapshot_of};

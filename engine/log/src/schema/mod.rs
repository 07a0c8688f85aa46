//! Records to bytes and back.
//!
//! What enters: a record, or bytes from anywhere. What leaves: bytes that are the same for ever
//! for the same record, or a record. Never: a panic, an allocation larger than the bytes given, or
//! two encodings of one record — whatever decodes encodes to the same bytes again.
//!
//! The bytes hold the instant and the event. Session and sequence stand outside, where a log needs
//! them to find the record: in a segment's frame, or in the subject of a stream.
//!
//! | what | how |
//! | --- | --- |
//! | number | LEB128: seven bits a byte, least significant first, as few bytes as possible |
//! | signed number | zigzag, then as a number |
//! | text | its length in bytes as a number, then UTF-8 |
//! | duration | whole seconds, then the nanoseconds of the last one, as two numbers |
//! | token | its 16 bytes |
//! | choice | one byte, from `codes.rs` |
//! | what may be missing | a byte 0, or a byte 1 and then what is there |
//!
//! A record is its instant (milliseconds since the Unix epoch, a number), the event's tag (one
//! byte, from `codes.rs`), and the event's fields in the order of their declaration.
//!
//! Tags and codes are fixed for ever. A field is never added to an event that has been released:
//! the event gets a new tag, and the old one goes on being read.
//!
//! ```
//! use rejoin_core::{Event, Record, Sequence, SessionId, Timestamp};
//! use rejoin_log::schema;
//!
//! let record = Record {
//!     session: SessionId::from_bytes([7; 16]),
//!     sequence: Sequence(2),
//!     at: Timestamp::from_millis(300),
//!     event: Event::SessionResumed,
//! };
//! let mut bytes = Vec::new();
//! schema::encode(&record, &mut bytes);
//! assert_eq!(bytes, [0xac, 0x02, 2]);
//! assert_eq!(schema::decode(record.session, record.sequence, &bytes), Ok(record));
//! ```

mod bytes;
mod codes;
mod decode;
mod encode;
mod snapshot;

pub(crate) use decode::removes_before;
pub use decode::{DecodeError, decode};
pub use encode::encode;
pub use snapshot::{decode_snapshot, encode_snapshot};

pub(crate) use bytes::{Parts, put_number};
pub(crate) use snapshot::SNAPSHOT_VERSION;

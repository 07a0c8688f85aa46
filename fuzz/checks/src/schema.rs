//! Records from bytes that may be anything.

use arbitrary::Arbitrary;
use rejoin_core::{Sequence, SessionId};
use rejoin_log::schema;

/// Bytes in the place of a record's.
#[derive(Arbitrary, Clone, Copy, Debug)]
pub struct RecordBytes<'a>(&'a [u8]);

impl RecordBytes<'_> {
    /// Decodes the bytes.
    ///
    /// # Panics
    ///
    /// When a record has another encoding than the one that it came from.
    pub fn check(&self) {
        let (session, sequence) = (SessionId::from_bytes([7; 16]), Sequence(3));
        match schema::decode(session, sequence, self.0) {
            Ok(record) => {
                let mut bytes = Vec::new();
                schema::encode(&record, &mut bytes);
                assert_eq!(bytes, self.0, "{record:?}");
            }
            Err(error) => assert!(!error.to_string().is_empty()),
        }
    }
}

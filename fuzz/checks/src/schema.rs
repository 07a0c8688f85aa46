//! Records, and commands of other nodes, from bytes that may be anything.

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
    /// When a record or a command has another encoding than the one that it came from.
    pub fn check(&self) {
        self.check_command();
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

    /// The bytes in the place of what another node asks for, or answers.
    fn check_command(&self) {
        if let Ok((command, actor)) = schema::decode_command(self.0) {
            let mut bytes = Vec::new();
            let is_of_client = schema::encode_command(&command, actor.as_deref(), &mut bytes);
            assert!(is_of_client, "{command:?}");
            assert_eq!(bytes, self.0, "{command:?}");
        }
        if let Ok(rejection) = schema::decode_rejection(self.0) {
            assert!(!rejection.to_string().is_empty());
        }
    }
}

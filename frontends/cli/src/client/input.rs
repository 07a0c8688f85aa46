//! Sends input to a job in parts, as fast as the job reads it.
//!
//! Invariant: no part is sent twice. If a response is lost, the part may have arrived, so that is an
//! error.

use super::ClientError;
use super::api::Api;
use super::limits::{INPUT_BYTES, INPUT_PAUSE};
use std::io::Read;

/// The input of one job.
#[derive(Clone, Debug)]
pub(crate) struct Sink {
    api: Api,
    path: String,
}

impl Sink {
    pub(crate) fn new(api: &Api, session: &str, job: u64) -> Self {
        Self {
            api: api.clone(),
            path: format!("/sessions/{session}/jobs/{job}/input"),
        }
    }

    /// Writes a part; waits until the server has room for it.
    pub(crate) fn write(&self, part: &[u8], end: bool) -> Result<(), ClientError> {
        let path = format!("{}?end={end}", self.path);
        loop {
            let kind = "application/octet-stream";
            match self.api.post_bytes(&path, kind, part) {
                Ok(_) => return Ok(()),
                Err(error) if is_not_taken(&error) => std::thread::sleep(INPUT_PAUSE),
                Err(error) => return Err(error),
            }
        }
    }
}

/// Passes on everything from a reader, then the end of input if `end` is set.
pub(crate) fn pass(sink: &Sink, from: &mut dyn Read, end: bool) -> Result<(), ClientError> {
    let mut part = vec![0; INPUT_BYTES];
    loop {
        match from.read(&mut part) {
            Ok(0) if end => return sink.write(b"", true),
            Ok(0) => return Ok(()),
            Ok(read) => sink.write(&part[..read], false)?,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => return Err(ClientError::Local("cannot read standard input", error)),
        }
    }
}

/// Whether the server did not take the input but may take it soon.
fn is_not_taken(error: &ClientError) -> bool {
    matches!(
        error,
        ClientError::Refused {
            is_retryable: true,
            ..
        }
    )
}

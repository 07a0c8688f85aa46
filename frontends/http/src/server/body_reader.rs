//! Reads the body of a request, within its limits and deadline.

use crate::limits::SMALL_BODY_BYTES;
use crate::server::budget::{Budget, Share};
use crate::server::deadlines::ConnDeadlines;
use crate::server::request_checks::Refusal;
use bytes::Bytes;
use http_body::Body as _;
use http_body_util::BodyExt;
use hyper::body::Incoming;

/// Reads one body.
pub(crate) struct BodyReader<'a> {
    pub(crate) deadlines: &'a ConnDeadlines,
    pub(crate) budget: &'a Budget,
    /// The most bytes that it may have.
    pub(crate) limit: usize,
}

/// Why a body was not read.
pub(crate) enum BodyError {
    TooLarge,
    /// Too much of other bodies is held.
    Full,
    Refused(Refusal),
}

impl BodyReader<'_> {
    pub(crate) async fn read(&self, mut incoming: Incoming) -> Result<(Bytes, Share), BodyError> {
        let mut share = self.budget.share();
        let length = incoming.size_hint().exact();
        if length.is_some_and(|length| length > self.limit as u64) {
            return Err(BodyError::TooLarge);
        }
        self.deadlines.wait_for_body();
        let first = self.next_part(&mut incoming).await?.unwrap_or_default();
        if first.len() > self.limit {
            return Err(BodyError::TooLarge);
        }
        count(&mut share, first.len())?;
        let Some(mut part) = self.next_part(&mut incoming).await? else {
            return Ok((first, share));
        };
        let most = length.map_or(self.limit, |length| {
            usize::try_from(length).map_or(self.limit, |length| length.min(self.limit))
        });
        let mut body = Vec::new();
        append(&mut body, &first, most, &mut share)?;
        loop {
            append(&mut body, &part, most, &mut share)?;
            match self.next_part(&mut incoming).await? {
                Some(next) => part = next,
                None => return Ok((body.into(), share)),
            }
        }
    }

    /// The next bytes of a body; trailers are dropped.
    async fn next_part(&self, incoming: &mut Incoming) -> Result<Option<Bytes>, BodyError> {
        if incoming.is_end_stream() {
            return Ok(None);
        }
        while let Some(frame) = incoming.frame().await {
            let frame = frame.map_err(|_| {
                BodyError::Refused(if self.deadlines.is_missed() {
                    Refusal::BodyTooSlow
                } else {
                    // It ends early or is badly encoded.
                    Refusal::Body
                })
            })?;
            if let Ok(part) = frame.into_data() {
                return Ok(Some(part));
            }
        }
        Ok(None)
    }
}

/// Appends a part. The room grows in steps, and is counted and found before it is used: neither the
/// length that a client claims nor a lack of memory may hurt others.
fn append(
    body: &mut Vec<u8>,
    part: &[u8],
    most: usize,
    share: &mut Share,
) -> Result<(), BodyError> {
    let length = body.len() + part.len();
    if length > most {
        return Err(BodyError::TooLarge);
    }
    if length > body.capacity() {
        let capacity = length.max(2 * body.capacity()).min(most);
        count(share, capacity)?;
        let reserved = body.try_reserve_exact(capacity - body.len());
        reserved.map_err(|_| BodyError::Full)?;
    }
    body.extend_from_slice(part);
    Ok(())
}

fn count(share: &mut Share, bytes: usize) -> Result<(), BodyError> {
    let counted = bytes.saturating_sub(SMALL_BODY_BYTES);
    share.grow_to(counted).map_err(|_| BodyError::Full)
}

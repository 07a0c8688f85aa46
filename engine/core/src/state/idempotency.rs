//! The request names (idempotency keys) that led to a session's jobs, so that clients can repeat a
//! request. How many are remembered does not depend on the configuration.

use crate::limits::REMEMBERED_REQUESTS;
use crate::{JobId, JobMode, JobOutput, JobSlot, RequestSnapshot, Sequence};
use alloc::collections::{BTreeMap, VecDeque};
use alloc::sync::Arc;
use alloc::vec::Vec;

/// The last [`REMEMBERED_REQUESTS`] request names of a session.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct IdempotencyKeys {
    known: BTreeMap<Arc<str>, AcceptedRequest>,
    oldest_first: VecDeque<Arc<str>>,
}

/// The job that a request led to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct AcceptedRequest {
    pub(crate) job: JobId,
    pub(crate) sequence: Sequence,
    /// A fingerprint of the request, because the statement may be long.
    pub(crate) fingerprint: u128,
}

impl IdempotencyKeys {
    /// The requests of a snapshot, oldest first.
    pub(crate) fn restored(requests: &[RequestSnapshot]) -> Self {
        let known = |it: &RequestSnapshot| {
            let known = AcceptedRequest {
                job: it.job,
                sequence: it.sequence,
                fingerprint: it.fingerprint,
            };
            (it.request.clone(), known)
        };
        Self {
            known: requests.iter().map(known).collect(),
            oldest_first: requests.iter().map(|it| it.request.clone()).collect(),
        }
    }

    /// As plain values, oldest first.
    pub(crate) fn snapshot(&self) -> Vec<RequestSnapshot> {
        let names = self.oldest_first.iter();
        let requests = names.filter_map(|name| {
            let AcceptedRequest {
                job,
                sequence,
                fingerprint,
            } = *self.known.get(name)?;
            Some(RequestSnapshot {
                request: name.clone(),
                job,
                sequence,
                fingerprint,
            })
        });
        requests.collect()
    }

    pub(crate) fn get(&self, request: &str) -> Option<AcceptedRequest> {
        self.known.get(request).copied()
    }

    pub(crate) fn remember(&mut self, request: &Arc<str>, known: AcceptedRequest) {
        if self.oldest_first.len() >= REMEMBERED_REQUESTS
            && let Some(oldest) = self.oldest_first.pop_front()
        {
            self.known.remove(&oldest);
        }
        self.oldest_first.push_back(request.clone());
        self.known.insert(request.clone(), known);
    }
}

/// A 128-bit FNV-1a hash of a request. Not collision-resistant, but a client can only collide with
/// its own requests.
///
/// Logs written before there were outputs have the same ones, so only a terminal makes a difference.
pub(crate) fn fingerprint(statement: &str, mode: JobMode, input: bool, output: JobOutput) -> u128 {
    let slot = u8::from(mode.slot == JobSlot::Background);
    let visibility = u8::from(mode.visibility == crate::Visibility::Submitter);
    let input = u8::from(input) + 2 * u8::from(output.terminal().is_some());
    statement
        .bytes()
        .chain([slot, visibility, input])
        .fold(FNV_BEGIN, |hash, byte| {
            (hash ^ u128::from(byte)).wrapping_mul(FNV_PRIME)
        })
}

const FNV_BEGIN: u128 = 0x6c62_272e_07bb_0142_62b8_2175_6295_c58d;
const FNV_PRIME: u128 = 0x0000_0000_0100_0000_0000_0000_0000_013b;

//! The names of the requests that led to a session's jobs, so that a client that heard no answer
//! may ask again. A fold of records; how many are remembered does not depend on a configuration.

use crate::limits::REMEMBERED_REQUESTS;
use crate::{JobId, JobMode, JobSlot, RequestSnapshot, Sequence};
use alloc::collections::{BTreeMap, VecDeque};
use alloc::sync::Arc;
use alloc::vec::Vec;

/// The last [`REMEMBERED_REQUESTS`] of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct IdempotencyKeys {
    known: BTreeMap<Arc<str>, AcceptedRequest>,
    oldest_first: VecDeque<Arc<str>>,
}

/// What a request led to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct AcceptedRequest {
    pub(crate) job: JobId,
    pub(crate) sequence: Sequence,
    /// What was asked for; the statement itself may be long.
    pub(crate) fingerprint: u128,
}

impl IdempotencyKeys {
    /// As they were, the oldest first.
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

    /// As plain values, the oldest first.
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

/// Differs wherever one of these differs, as far as 128 bits can (FNV-1a). Whoever looks for two
/// statements that agree in it deceives nobody but itself: both are its own.
pub(crate) fn fingerprint(statement: &str, mode: JobMode, input: bool) -> u128 {
    let slot = u8::from(mode.slot == JobSlot::Background);
    let visibility = u8::from(mode.visibility == crate::Visibility::Submitter);
    statement
        .bytes()
        .chain([slot, visibility, u8::from(input)])
        .fold(FNV_BEGIN, |hash, byte| {
            (hash ^ u128::from(byte)).wrapping_mul(FNV_PRIME)
        })
}

const FNV_BEGIN: u128 = 0x6c62_272e_07bb_0142_62b8_2175_6295_c58d;
const FNV_PRIME: u128 = 0x0000_0000_0100_0000_0000_0000_0000_013b;

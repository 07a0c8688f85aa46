//! The records of a session, read for one client as fast as it takes them.

use crate::error::Fault;
use crate::limits::{MAX_EVENTS, PART_BYTES};
use crate::links::Visit;
use crate::recording::opened_terminal;
use futures::future::{Either, select};
use rejoin_accounts::{Accounts, Caller};
use rejoin_engine::{Engine, PullError, ReadLimit, Record, Sequence, SessionId, Unavailable};
use rejoin_http::Shutdown;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

/// The records of a session up to now, for somebody who may read them.
pub(crate) struct RecordSource {
    /// If it reads by a link.
    pub(crate) _visit: Option<Visit>,
    pub(crate) engine: Engine,
    pub(crate) accounts: Accounts,
    pub(crate) caller: Caller,
    pub(crate) session: SessionId,
    pub(crate) after: Sequence,
    pub(crate) shutdown: Shutdown,
}

impl RecordSource {
    /// The next records. None: there are no more.
    ///
    /// # Errors
    ///
    /// Also when the server shuts down, and when the caller may not read them any more: what
    /// breaks off must not look like a whole export or download.
    pub(crate) async fn next(&mut self) -> Result<Option<Vec<Arc<Record>>>, Fault> {
        let limit = ReadLimit {
            records: MAX_EVENTS,
            bytes: PART_BYTES,
        };
        let read = self
            .engine
            .read(self.session, self.after, limit, Duration::ZERO);
        let records = match select(pin!(read), pin!(self.shutdown.wait())).await {
            Either::Left((read, _)) => read?,
            Either::Right(_) => {
                return Err(PullError::Unavailable(Unavailable::ShuttingDown).into());
            }
        };
        let Some(last) = records.last() else {
            return Ok(None);
        };
        if !self.accounts.is_current(&self.caller) {
            return Err(Fault::ended(&self.caller));
        }
        self.after = last.sequence;
        Ok(Some(records))
    }

    /// Reads up to the first terminal of the session, and starts again at its beginning. Columns and rows.
    pub(crate) async fn first_terminal(&mut self) -> Result<Option<(u16, u16)>, Fault> {
        let mut size = None;
        while size.is_none()
            && let Some(records) = self.next().await?
        {
            size = records.iter().find_map(|record| opened_terminal(record));
        }
        self.after = Sequence::START;
        Ok(size)
    }
}

//! A session of a running server's log, read by its API.

use super::{OfflineError, warn};
use crate::args::ServerArgs;
use crate::client::ClientError;
use crate::client::api::Api;
use crate::client::limits::RECORD_BYTES;
use crate::client::resolve::{identity, resolve};
use rejoin_core::{Record, Sequence, SessionId};
use rejoin_log::schema;
use std::io::{BufReader, Read};

/// A session on a server, from which its records are read as the log has them.
#[derive(Debug)]
pub(crate) struct ServedSession {
    api: Api,
    pub(crate) session: SessionId,
    /// Whether what jobs printed for their submitter alone is asked for.
    wants_private: bool,
}

impl ServedSession {
    /// Finds the session that `name` refers to: its number, or its ID or a prefix of it.
    pub(crate) fn find(
        server: &ServerArgs,
        name: &str,
        wants_private: bool,
    ) -> Result<Self, OfflineError> {
        let api = Api::new(server)?;
        if api.is_by_link() {
            return Err(OfflineError::ByLink);
        }
        let (_, session) = identity(&resolve(&api, name)?)?;
        Ok(Self {
            api,
            session,
            wants_private,
        })
    }

    /// Reads all records up to now.
    pub(crate) fn read(&self, visit: &mut dyn FnMut(Record)) -> Result<(), OfflineError> {
        let path = format!("/sessions/{}/records?format=log", self.session);
        let body = match self.wants_private {
            true => match self.api.download(&format!("{path}&all=true")) {
                Err(error) if error.is_code("forbidden") => {
                    warn(
                        "this account is no admin, so that jobs which only their submitter could see have no \
                         content here",
                    );
                    self.api.download(&path)?
                }
                body => body?,
            },
            false => self.api.download(&path)?,
        };
        let mut body = BufReader::new(body);
        let mut bytes = vec![];
        while let Some((sequence, length)) = head(&mut body)? {
            bytes.clear();
            let read = body.by_ref().take(length.into()).read_to_end(&mut bytes);
            if read.map_err(broken)? != length as usize {
                return Err(cut());
            }
            let record = schema::decode(self.session, sequence, &bytes).map_err(|error| {
                let said = format!(
                    "cannot read record {sequence} of the server: {error}; is the server newer than this \
                     program?"
                );
                OfflineError::Server(ClientError::Lost(said))
            })?;
            visit(record);
        }
        Ok(())
    }
}

/// The sequence and the length of the next record; none at the end.
fn head(body: &mut impl Read) -> Result<Option<(Sequence, u32)>, OfflineError> {
    let mut head = vec![];
    body.take(HEAD_BYTES)
        .read_to_end(&mut head)
        .map_err(broken)?;
    if head.is_empty() {
        return Ok(None);
    }
    let (sequence, length) = head.split_first_chunk().ok_or_else(cut)?;
    let length = u32::from_le_bytes(*length.first_chunk().ok_or_else(cut)?);
    match length {
        0..=RECORD_BYTES => Ok(Some((Sequence(u64::from_le_bytes(*sequence)), length))),
        _ => Err(cut()),
    }
}

/// Bytes before each record.
const HEAD_BYTES: u64 = 12;

fn broken(error: std::io::Error) -> OfflineError {
    let said = format!(
        "the server broke off in the middle: {error}; if it does so again, its log may be damaged, which it \
         says on its standard error"
    );
    OfflineError::Server(ClientError::Lost(said))
}

fn cut() -> OfflineError {
    let said = "the server sent something that is no record".to_owned();
    OfflineError::Server(ClientError::Lost(said))
}

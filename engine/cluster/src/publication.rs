//! Stores messages exactly once, although an answer may get lost.
//!
//! The same bytes are sent with the same expected sequence until it is known what became of them.
//! Sending again is harmless, because the server stores them only if the stream still ends where
//! they were meant to go. Only what can be read at their place decides whose message is there; a
//! timeout decides nothing.

use crate::chain::StreamDamage;
use crate::message::Message;
use crate::server::{Appended, Got, LogServer, Progress};

/// One append that is sent until its outcome is known.
#[derive(Clone, Debug)]
pub struct Publication {
    expected: u64,
    messages: Vec<Vec<u8>>,
    /// The last answer was that the stream ends elsewhere: see what is at our place.
    must_look: bool,
    /// An earlier try may have been stored.
    is_uncertain: bool,
}

/// What became of a publication.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PublishVerdict {
    /// Its messages are in the stream, once.
    Stored,
    /// Another owner goes on with the log. Its term, if a message of it is at their place. None:
    /// what was there has been purged.
    Fenced(Option<u64>),
    /// Nothing was stored, because the server can't store such messages.
    Refused(String),
    /// The server has lost the message at their place. Whether they had been stored is unknown.
    Damaged(StreamDamage),
}

impl Publication {
    /// Stores `messages` after sequence `expected`, together or not at all. There must be at least
    /// one.
    #[must_use]
    pub fn new(expected: u64, messages: Vec<Vec<u8>>) -> Self {
        Self {
            expected,
            messages,
            must_look: false,
            is_uncertain: false,
        }
    }

    /// The messages.
    #[must_use]
    pub fn messages(&self) -> &[Vec<u8>] {
        &self.messages
    }

    /// Makes the next call.
    pub fn step(&mut self, server: &mut (impl LogServer + ?Sized)) -> Progress<PublishVerdict> {
        if self.must_look {
            self.look(server)
        } else {
            self.send(server)
        }
    }

    fn send(&mut self, server: &mut (impl LogServer + ?Sized)) -> Progress<PublishVerdict> {
        let end = self.expected.saturating_add(self.messages.len() as u64);
        match server.append(self.expected, &self.messages) {
            Appended::Stored(last) if last == end => Progress::Done(PublishVerdict::Stored),
            Appended::Stored(last) => Progress::Done(PublishVerdict::Damaged(StreamDamage::new(
                end,
                format!("the server stored the message as sequence {last}"),
            ))),
            Appended::WrongLast => {
                self.must_look = true;
                Progress::Again
            }
            Appended::Unknown => {
                self.is_uncertain = true;
                Progress::Pause
            }
            // An earlier try may have been stored all the same.
            Appended::Refused(_) if self.is_uncertain => Progress::Pause,
            Appended::Refused(reason) => Progress::Done(PublishVerdict::Refused(reason)),
        }
    }

    fn look(&mut self, server: &mut (impl LogServer + ?Sized)) -> Progress<PublishVerdict> {
        let place = self.expected.saturating_add(1);
        match server.get(place) {
            Got::Unknown => Progress::Pause,
            Got::Message(found) if self.messages.first() == Some(&found) => {
                Progress::Done(PublishVerdict::Stored)
            }
            Got::Message(found) => Progress::Done(match Message::decode(&found) {
                Ok(message) => PublishVerdict::Fenced(Some(message.term)),
                Err(fault) => PublishVerdict::Damaged(StreamDamage::fault(place, fault)),
            }),
            Got::Nothing(bounds) if bounds.first > place && bounds.last >= place => {
                Progress::Done(PublishVerdict::Fenced(None))
            }
            Got::Nothing(bounds) if bounds.last >= place => Progress::Done(
                PublishVerdict::Damaged(StreamDamage::missing(place, bounds.last)),
            ),
            // What is in the way can't be read yet.
            Got::Nothing(_) => {
                self.must_look = false;
                Progress::Pause
            }
        }
    }
}

//! Every number in the format that stands for a word. They are fixed for ever: a number may be
//! added, none may change its meaning or be used again.

use rejoin_core::{CloseCause, InterruptCause, JobSlot, LeaveCause, Outcome, Visibility};

/// The events' tags. Zero is none, so that zeroed bytes are never an event.
pub(super) mod tag {
    pub(in crate::schema) const SESSION_CREATED: u8 = 1;
    pub(in crate::schema) const SESSION_RESUMED: u8 = 2;
    pub(in crate::schema) const SESSION_TOUCHED: u8 = 3;
    pub(in crate::schema) const USER_SET: u8 = 4;
    pub(in crate::schema) const CONSUMER_JOINED: u8 = 5;
    pub(in crate::schema) const CURSOR_ADVANCED: u8 = 6;
    pub(in crate::schema) const CONSUMER_LEFT: u8 = 7;
    pub(in crate::schema) const JOB_SUBMITTED: u8 = 8;
    pub(in crate::schema) const STATEMENT_REFUSED: u8 = 9;
    pub(in crate::schema) const JOB_STARTED: u8 = 10;
    pub(in crate::schema) const RESULT_EMITTED: u8 = 11;
    pub(in crate::schema) const INTERRUPT_REQUESTED: u8 = 12;
    pub(in crate::schema) const JOB_FINISHED: u8 = 13;
    pub(in crate::schema) const SESSION_CLOSED: u8 = 14;
    /// `JOB_SUBMITTED` with the name of its request, or an input that stays open, or both.
    pub(in crate::schema) const JOB_REQUESTED: u8 = 15;
    pub(in crate::schema) const INPUT_WRITTEN: u8 = 16;
    pub(in crate::schema) const RECORDS_LOST: u8 = 17;
    /// `JOB_STARTED` and `INTERRUPT_REQUESTED` of a job that is nobody else's business.
    pub(in crate::schema) const PRIVATE_JOB_STARTED: u8 = 18;
    pub(in crate::schema) const PRIVATE_INTERRUPT_REQUESTED: u8 = 19;
}

/// Why records are lost. Not a choice like the others: fields follow one of them.
pub(super) mod loss {
    pub(in crate::schema) const DAMAGE: u8 = 0;
    pub(in crate::schema) const RETENTION: u8 = 1;
}

/// A choice that is written as one byte.
pub(super) trait Coded: Sized {
    fn code(&self) -> u8;
    fn from_code(code: u8) -> Option<Self>;
}

macro_rules! codes {
    ($choice:ident { $($code:literal => $variant:ident,)* }) => {
        impl Coded for $choice {
            fn code(&self) -> u8 {
                match self { $(Self::$variant => $code,)* }
            }

            fn from_code(code: u8) -> Option<Self> {
                match code { $($code => Some(Self::$variant),)* _ => None }
            }
        }
    };
}

codes!(JobSlot {
    0 => Foreground,
    1 => Background,
});

codes!(Visibility {
    0 => Session,
    1 => Submitter,
});

codes!(LeaveCause {
    0 => Left,
    1 => Expired,
    2 => SessionClosed,
});

codes!(InterruptCause {
    0 => Requested,
    1 => Timeout,
    2 => OutputLimit,
    3 => SessionClosed,
    4 => Shutdown,
});

codes!(Outcome {
    0 => Completed,
    1 => Failed,
    2 => Interrupted,
    3 => TimedOut,
    4 => Lost,
});

codes!(CloseCause {
    0 => Requested,
    1 => Idle,
});

//! The numeric codes of the format. Codes may be added, but never changed or reused.

use rejoin_core::{
    CloseCause, InterruptCause, JobSlot, LeaveCause, Outcome, OutputStream, Visibility,
};

/// Event tags. Zero is unused, so that zeroed bytes are never a valid event.
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
    /// `JOB_SUBMITTED` with a named request, an input that stays open, or both.
    pub(in crate::schema) const JOB_REQUESTED: u8 = 15;
    pub(in crate::schema) const INPUT_WRITTEN: u8 = 16;
    pub(in crate::schema) const RECORDS_LOST: u8 = 17;
    /// `JOB_STARTED` and `INTERRUPT_REQUESTED` of a job that only its submitter sees.
    pub(in crate::schema) const PRIVATE_JOB_STARTED: u8 = 18;
    pub(in crate::schema) const PRIVATE_INTERRUPT_REQUESTED: u8 = 19;
    /// `RESULT_EMITTED` with a position in the job's output.
    pub(in crate::schema) const RESULT_POSITIONED: u8 = 20;
    /// `JOB_SUBMITTED` and `JOB_REQUESTED` with any output; those two are for separate streams.
    pub(in crate::schema) const JOB_WITH_OUTPUT: u8 = 21;
    pub(in crate::schema) const TERMINAL_RESIZED: u8 = 22;
    pub(in crate::schema) const CONTROLLER_CHANGED: u8 = 23;
    pub(in crate::schema) const INPUT_HIDDEN: u8 = 24;
    pub(in crate::schema) const SCREEN_CAPTURED: u8 = 25;
    /// 40 to 44 are for what becomes of what is there.
    pub(in crate::schema) const LEFTOVERS_CHOSEN: u8 = 40;
    pub(in crate::schema) const RECORDS_REDACTED: u8 = 41;
    /// No event: who redacted the event and when follows, and then the event's tag.
    pub(in crate::schema) const REDACTED: u8 = 42;
    /// 35 to 39 are for what people say about sessions.
    pub(in crate::schema) const SESSION_DESCRIBED: u8 = 35;
    /// 46 to 54 are for links.
    pub(in crate::schema) const LINK_CHANGED: u8 = 46;
    /// `SESSION_RESUMED` by another node.
    pub(in crate::schema) const SESSION_TAKEN_OVER: u8 = 56;
    /// `SESSION_CREATED` at a node with a name.
    pub(in crate::schema) const SESSION_CREATED_AT_NODE: u8 = 62;

    /// No event: the log's clock follows, because it differs from the wall's time, and then the
    /// event's tag. Far from the tags of events, which grow.
    pub(in crate::schema) const CLOCK: u8 = 128;
    /// No event: the actor follows, because somebody asked for the event, and then the event's tag.
    pub(in crate::schema) const ACTOR: u8 = 129;
}

/// Commands that one node gives to another. Zero is unused.
pub(super) mod command {
    pub(in crate::schema) const CREATE_SESSION: u8 = 1;
    pub(in crate::schema) const JOIN_SESSION: u8 = 2;
    pub(in crate::schema) const LEAVE_SESSION: u8 = 3;
    pub(in crate::schema) const CLOSE_SESSION: u8 = 4;
    pub(in crate::schema) const SET_USER: u8 = 5;
    pub(in crate::schema) const DESCRIBE_SESSION: u8 = 6;
    pub(in crate::schema) const NOTE_LINK: u8 = 7;
    pub(in crate::schema) const TOUCH_SESSION: u8 = 8;
    pub(in crate::schema) const SUBMIT_JOB: u8 = 9;
    pub(in crate::schema) const WRITE_INPUT: u8 = 10;
    pub(in crate::schema) const HIDE_INPUT: u8 = 11;
    pub(in crate::schema) const RESIZE_TERMINAL: u8 = 12;
    pub(in crate::schema) const TAKE_CONTROL: u8 = 13;
    pub(in crate::schema) const GIVE_CONTROL: u8 = 14;
    pub(in crate::schema) const REFUSE_STATEMENT: u8 = 15;
    pub(in crate::schema) const INTERRUPT_JOB: u8 = 16;
    pub(in crate::schema) const ADVANCE_CURSOR: u8 = 17;
    pub(in crate::schema) const REDACT_RECORDS: u8 = 18;
    pub(in crate::schema) const REMOVE_SESSION: u8 = 19;
}

/// Rejections. Not `Coded`, because fields follow most of them. Zero is unused.
pub(super) mod rejection {
    pub(in crate::schema) const CONSUMER_NOT_FOUND: u8 = 1;
    pub(in crate::schema) const CURSOR_AHEAD: u8 = 2;
    pub(in crate::schema) const INPUT_ENDED: u8 = 3;
    pub(in crate::schema) const INVALID_SIZE: u8 = 4;
    pub(in crate::schema) const JOB_NOT_FOUND: u8 = 5;
    pub(in crate::schema) const JOB_RUNNING: u8 = 6;
    pub(in crate::schema) const NO_FOREGROUND_JOB: u8 = 7;
    pub(in crate::schema) const NO_INPUT: u8 = 8;
    pub(in crate::schema) const NO_TERMINAL: u8 = 9;
    pub(in crate::schema) const NOT_CONTROLLER: u8 = 10;
    pub(in crate::schema) const OUTPUT_LIMIT_REACHED: u8 = 11;
    pub(in crate::schema) const RECORD_NOT_FOUND: u8 = 12;
    pub(in crate::schema) const REQUEST_REPEATED: u8 = 13;
    pub(in crate::schema) const REQUEST_TAKEN: u8 = 14;
    pub(in crate::schema) const SESSION_EXISTS: u8 = 15;
    pub(in crate::schema) const SESSION_NOT_FOUND: u8 = 16;
    pub(in crate::schema) const TOO_LONG: u8 = 17;
    pub(in crate::schema) const TOO_MANY: u8 = 18;
}

/// Where a job's output goes. Not `Coded`, because fields follow one of them.
pub(super) mod output {
    pub(in crate::schema) const MERGED: u8 = 0;
    pub(in crate::schema) const SEPARATE: u8 = 1;
    pub(in crate::schema) const TERMINAL: u8 = 2;
}

/// What happened to a link. Not `Coded`, because a field follows one of them.
pub(super) mod link {
    pub(in crate::schema) const ADDED: u8 = 0;
    pub(in crate::schema) const REMOVED: u8 = 1;
    pub(in crate::schema) const JOINED: u8 = 2;
    pub(in crate::schema) const LEFT: u8 = 3;
}

/// Causes of lost records. Not `Coded`, because fields follow one of them.
pub(super) mod loss {
    pub(in crate::schema) const DAMAGE: u8 = 0;
    pub(in crate::schema) const RETENTION: u8 = 1;
}

/// An enum that is encoded as one byte.
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

codes!(OutputStream {
    0 => Stdout,
    1 => Stderr,
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

//! The operations, with a strategy that draws them. Sessions and consumers are chosen by an index,
//! modulo the number of all that ever existed, so that some operations name one that is gone.

use proptest::prelude::*;
use std::fmt;

/// Something that a client, a runner, the clock or an administrator does.
#[derive(Clone, Copy, Debug)]
pub(super) enum Operation {
    Create { reads: bool },
    Join(u8),
    Leave(u8, u8),
    Close(u8),
    Submit(u8),
    Say(u8, u8),
    Finish(u8, u8),
    Interrupt(u8),
    Pull(u8, u8, u8),
    DropPull(u8, u8),
    Read(u8, u8, u8),
    Pass(u8),
    SetBack(u8),
    SetAhead(u8),
    Restart,
    Crash,
}

use Operation::{
    Close, Crash, Create, DropPull, Finish, Interrupt, Join, Leave, Pass, Pull, Read, Restart, Say,
    SetAhead, SetBack, Submit,
};

pub(super) fn operations() -> impl Strategy<Value = Vec<Operation>> {
    // Few, so that operations often meet at the same session.
    let few = || 0..4_u8;
    let operation = prop_oneof![
        3 => any::<bool>().prop_map(|reads| Create { reads }),
        4 => few().prop_map(Join),
        1 => (few(), few()).prop_map(|(session, consumer)| Leave(session, consumer)),
        1 => few().prop_map(Close),
        4 => few().prop_map(Submit),
        8 => (few(), 1..5_u8).prop_map(|(session, count)| Say(session, count)),
        3 => (few(), 0..3_u8).prop_map(|(session, status)| Finish(session, status)),
        1 => few().prop_map(Interrupt),
        8 => (few(), few(), 1..6_u8).prop_map(|(session, who, most)| Pull(session, who, most)),
        2 => (few(), few()).prop_map(|(session, consumer)| DropPull(session, consumer)),
        3 => (few(), 0..20_u8, 1..6_u8).prop_map(|(session, after, most)| Read(session, after, most)),
        3 => (1..130_u8).prop_map(Pass),
        1 => (1..130_u8).prop_map(SetBack),
        1 => (1..130_u8).prop_map(SetAhead),
        1 => Just(Restart),
        1 => Just(Crash),
    ];
    prop::collection::vec(operation, 1..50)
}

/// A sentence. Sessions and consumers are numbered in the order of their creation, from 0.
impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Create { reads: true } => f.write_str("a client creates a session, and reads it"),
            Create { reads: false } => f.write_str("a client creates a session"),
            Join(session) => write!(f, "a client joins session {session}"),
            Leave(session, who) => write!(f, "consumer {who} leaves session {session}"),
            Close(session) => write!(f, "a client closes session {session}"),
            Submit(session) => write!(f, "a client runs a statement in session {session}"),
            Say(session, count) => write!(f, "the job in session {session} emits {count} results"),
            Finish(session, status) => {
                write!(f, "the job in session {session} ends with {status}")
            }
            Interrupt(session) => write!(f, "a client interrupts the job in session {session}"),
            Pull(session, who, most) => {
                write!(
                    f,
                    "consumer {who} of session {session} pulls, {most} records at most"
                )
            }
            DropPull(session, who) => {
                write!(
                    f,
                    "consumer {who} of session {session} leaves in the middle of a pull"
                )
            }
            Read(session, after, most) => write!(
                f,
                "a client reads session {session} after sequence {after}, {most} records at most"
            ),
            Pass(seconds) => write!(f, "{seconds} s pass"),
            SetBack(seconds) => write!(f, "the clock is set back by {seconds} s"),
            SetAhead(hours) => write!(f, "the clock is set ahead by {hours} h"),
            Restart => f.write_str("the server is shut down and started again"),
            Crash => f.write_str("the server crashes and is started again"),
        }
    }
}

/// Operations, printed one after the other.
#[derive(Clone)]
pub(super) struct Story(pub(super) Vec<Operation>);

impl fmt::Debug for Story {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0
            .iter()
            .zip(1..)
            .try_for_each(|(operation, line)| write!(f, "\n    {line:2}. {operation}"))
    }
}

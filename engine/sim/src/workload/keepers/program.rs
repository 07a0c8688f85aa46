//! What a keeper runs: a script that goes on by itself, whether a server is there or not.
//!
//! It is brought up to the current time whenever somebody looks at it, which comes to the same as if it
//! had run in between.

use crate::oracle::ProgramFacts;
use crate::workload::runners::{GRACE, words};
use rejoin_core::{OutputOffsets, OutputPosition, OutputStream};
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

/// A program and its pipes.
#[derive(Debug)]
pub(super) struct Program {
    words: VecDeque<(String, u64)>,
    /// When the next word runs. Never while it waits for room, for input or for an interrupt.
    due: Duration,
    output: [Spool; 2],
    /// How many bytes of input it has used.
    used: u64,
    is_deaf: bool,
    has_input: bool,
    input_ended: bool,
    /// How many bytes of input it was given.
    pub(super) given: u64,
    interrupts_left: u64,
    grace: Option<Duration>,
    status: i32,
    facts: ProgramFacts,
    /// How often it had to wait for room in its pipe.
    pub(super) waits: u64,
}

/// The output of one stream that the keeper holds. What it consists of follows from where it is.
#[derive(Debug)]
struct Spool {
    stream: OutputStream,
    settled: u64,
    sent: u64,
    end: u64,
}

impl Program {
    pub(super) fn start(statement: &Arc<str>, has_input: bool, now: Duration) -> Self {
        let spool = |stream| Spool {
            stream,
            settled: 0,
            sent: 0,
            end: 0,
        };
        let words: Vec<_> = words(statement).collect();
        let stubborn = words.iter().find(|(word, _)| *word == "stubborn");
        let is_deaf = words.iter().any(|(word, _)| *word == "deaf");
        let interrupts_left = stubborn.map_or(1, |(_, count)| *count);
        let steps = words.iter().flat_map(|(word, number)| {
            let (steps, times) = match *word {
                "burst" => (vec![("say", 10)], *number),
                "tick" => (vec![("say", 20), ("wait", 300)], *number),
                word => (vec![(word, *number)], 1),
            };
            (0..times).flat_map(move |_| steps.clone())
        });
        let steps = steps.map(|(word, number)| (word.to_owned(), number));
        Self {
            words: steps.collect(),
            due: now,
            output: [spool(OutputStream::Stdout), spool(OutputStream::Stderr)],
            used: 0,
            is_deaf,
            has_input,
            input_ended: false,
            given: 0,
            interrupts_left,
            grace: None,
            status: 0,
            facts: ProgramFacts::default(),
            waits: 0,
        }
    }

    pub(super) fn facts(&self) -> &ProgramFacts {
        &self.facts
    }

    pub(super) fn has_ended(&self) -> bool {
        self.facts.exit.is_some()
    }

    /// When it does something next, if time alone is enough.
    pub(super) fn next(&self) -> Option<Duration> {
        let next = self.grace.map_or(self.due, |grace| grace.min(self.due));
        (!self.has_ended() && next != NEVER).then_some(next)
    }

    /// Runs until `now`.
    pub(super) fn advance(&mut self, now: Duration) {
        while let Some(next) = self.next().filter(|next| *next <= now) {
            if self.due > next {
                self.end(INTERRUPTED);
            } else {
                self.step();
            }
        }
    }

    fn step(&mut self) {
        let Some((word, number)) = self.words.front_mut() else {
            return self.end(self.status);
        };
        match word.as_str() {
            "say" | "err" => {
                let place = usize::from(word == "err");
                let [stdout, stderr] = &mut self.output;
                let spool = if place == 0 { stdout } else { stderr };
                let count = (*number).min(SPOOL.saturating_sub(spool.end - spool.settled));
                spool.end += count;
                *number -= count;
                let (stream, bytes) = (spool.stream, spool.end);
                self.facts.written.advance(OutputPosition { stream, bytes });
                if *number > 0 {
                    self.waits += 1;
                    self.due = NEVER;
                    return;
                }
            }
            "wait" => self.due += Duration::from_millis(*number),
            "need" => {
                let wanted = self.used + *number;
                let can_come = self.has_input && !self.input_ended;
                if can_come && (self.is_deaf || self.given < wanted) {
                    self.due = NEVER;
                    return;
                }
                self.used = wanted;
            }
            "panic" => {
                self.facts.panics = true;
                self.due = NEVER;
                return;
            }
            "forever" => {
                self.due = NEVER;
                return;
            }
            "exit" => self.status = i32::try_from(*number).unwrap_or(1),
            _ => {}
        }
        self.words.pop_front();
    }

    fn end(&mut self, status: i32) {
        self.facts.exit = Some(status);
    }

    /// It is killed, and its exit status is lost.
    pub(super) fn kill(&mut self) {
        self.facts.is_gone = true;
        self.due = NEVER;
        self.grace = None;
    }

    pub(super) fn interrupt(&mut self, now: Duration) {
        self.interrupts_left = self.interrupts_left.saturating_sub(1);
        if self.interrupts_left == 0 && !self.has_ended() {
            self.end(INTERRUPTED);
        }
        self.grace.get_or_insert(now + GRACE);
    }

    /// Takes input, and returns what it had not been given before.
    pub(super) fn take_input<'a>(
        &mut self,
        offset: u64,
        bytes: &'a [u8],
        now: Duration,
    ) -> &'a [u8] {
        let known = usize::try_from(self.given.saturating_sub(offset)).unwrap_or(usize::MAX);
        let new = bytes.get(known..).unwrap_or_default();
        self.given += new.len() as u64;
        self.facts.given.extend(new);
        self.try_again(now);
        new
    }

    pub(super) fn end_input(&mut self, now: Duration) {
        self.input_ended = true;
        self.try_again(now);
    }

    pub(super) fn input_ended(&self) -> bool {
        self.input_ended
    }

    /// How many bytes of its input it has read. Unless it is deaf, it reads at once.
    pub(super) fn taken(&self) -> u64 {
        if self.is_deaf { 0 } else { self.given }
    }

    /// It waited, and may be able to go on.
    fn try_again(&mut self, now: Duration) {
        if self.due == NEVER && !self.facts.panics {
            self.due = now;
        }
    }

    pub(super) fn settled(&self) -> OutputOffsets {
        self.offsets(|spool| spool.settled)
    }

    pub(super) fn sent(&self) -> OutputOffsets {
        self.offsets(|spool| spool.sent)
    }

    pub(super) fn end_of_output(&self) -> OutputOffsets {
        self.offsets(|spool| spool.end)
    }

    fn offsets(&self, of: impl Fn(&Spool) -> u64) -> OutputOffsets {
        let [stdout, stderr] = &self.output;
        OutputOffsets {
            stdout: of(stdout),
            stderr: of(stderr),
        }
    }

    /// A server wants the output behind these offsets. Returns whether some of it comes again.
    pub(super) fn resume(&mut self, from: OutputOffsets) -> bool {
        let mut is_repeated = false;
        for spool in &mut self.output {
            let from = from.of(spool.stream).max(spool.settled);
            is_repeated |= from < spool.sent;
            spool.sent = from;
        }
        is_repeated
    }

    pub(super) fn settle(&mut self, to: OutputOffsets, now: Duration) {
        for spool in &mut self.output {
            spool.settled = to.of(spool.stream).clamp(spool.settled, spool.end);
        }
        self.try_again(now);
    }

    /// The next output that was not sent, up to a number of bytes: its stream, offset and length.
    pub(super) fn send(&mut self, most: u64) -> Option<(OutputStream, u64, u64)> {
        let spool = self.output.iter_mut().find(|it| it.sent < it.end)?;
        let (offset, count) = (spool.sent, most.min(spool.end - spool.sent));
        spool.sent += count;
        Some((spool.stream, offset, count))
    }

    pub(super) fn is_sent(&self) -> bool {
        self.output.iter().all(|spool| spool.sent >= spool.end)
    }
}

/// Bytes of each stream that a keeper holds.
const SPOOL: u64 = 200;

const NEVER: Duration = Duration::MAX;

/// The status after an interrupt.
const INTERRUPTED: i32 = 130;

//! What a server and a keeper say to each other: frames of a length, a kind, a job and fields.
//!
//! Numbers are little-endian; a list of bytes is its length and then the bytes. Both sides ignore kinds
//! that they do not know, and fields behind those that they know, so that the protocol can grow. What
//! can't be said in this way increases [`VERSION`].

use crate::jobs::runner::TerminalMode;
use crate::limits::{KEEPER_FRAME, KEEPER_JOBS};
use crate::shell::job::Program;
use rejoin_core::{
    JobId, JobOutput, OutputOffsets, OutputStream, SessionId, Submission, TerminalSize,
};
use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};

/// The version that this build speaks.
pub(super) const VERSION: u32 = 2;

/// The first version that knows terminals, and one pipe for both streams.
pub(super) const WITH_OUTPUT: u32 = 2;

/// A frame to a keeper.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum ToKeeper {
    /// The first frame of every connection.
    Hello {
        version: u32,
        /// Whose jobs the keeper holds: it stays what the first server says.
        owner: Vec<u8>,
        /// How long to wait for the next server, in milliseconds.
        patience: u64,
    },
    /// Start a job.
    Start {
        job: JobId,
        session: SessionId,
        program: Program,
        has_input: bool,
        output: JobOutput,
        /// None from old servers.
        submission: Option<Submission>,
    },
    /// Send the output that follows these offsets.
    Resume { job: JobId, from: OutputOffsets },
    /// Write to the job's input. Bytes that it was given before are skipped.
    Input {
        job: JobId,
        /// How many bytes of input come before these.
        offset: u64,
        bytes: Vec<u8>,
    },
    /// Write to the job's terminal what is not logged: it does not count as input.
    HiddenInput { job: JobId, bytes: Vec<u8> },
    /// Give the job's terminal a size.
    Resize { job: JobId, size: TerminalSize },
    /// Say how the job's terminal takes input now.
    AskMode {
        job: JobId,
        /// Comes back with the answer.
        question: u64,
    },
    /// Send a signal to everything in the session of the job's terminal.
    HangUp {
        job: JobId,
        /// The number of the last interrupt that led to it.
        interrupts: u32,
        signal: i32,
    },
    /// Close the job's input once it is written.
    EndInput { job: JobId },
    /// Send a signal to the job's process group, or to the one in the foreground of its terminal.
    Signal {
        job: JobId,
        /// The number of the last interrupt that led to it.
        interrupts: u32,
        signal: i32,
    },
    /// The output up to these offsets is settled: drop it.
    Settled { job: JobId, offsets: OutputOffsets },
    /// End the job now, without waiting for more output.
    Cut { job: JobId },
    /// Forget the job. What still runs of it is killed.
    Forget { job: JobId },
    /// Kill all jobs, and end.
    Quit,
}

/// A frame from a keeper.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum ToServer {
    /// The answer to `Hello`.
    Welcome { version: u32, jobs: Vec<HeldJob> },
    /// The job runs.
    Started { job: JobId },
    /// The job could not be started.
    NotStarted {
        job: JobId,
        /// The operating system's error; 0 if it is none of its own.
        error: i32,
    },
    /// The job wrote this.
    Output {
        job: JobId,
        stream: OutputStream,
        /// How many bytes of the stream come before these.
        offset: u64,
        bytes: Vec<u8>,
    },
    /// This many bytes of the job's input are written, or none will be any more.
    InputWritten { job: JobId, written: u64 },
    /// The job reads no input any more.
    InputClosed { job: JobId },
    /// The job's shell has ended, but something still has its output open.
    OutputHeld {
        job: JobId,
        /// The process of the keeper, which reads them.
        reader: u32,
        /// The pipes, as /proc names them.
        pipes: Vec<OsString>,
    },
    /// How a job's terminal takes input now. None: it has none.
    Mode {
        question: u64,
        mode: Option<TerminalMode>,
    },
    /// The job has ended, and all its output was sent.
    Exited {
        job: JobId,
        /// As `wait` gives it. None if its end was not seen.
        status: Option<i32>,
        /// The process group, if something was left in it when the shell was reaped.
        group: Option<i32>,
    },
}

/// A job that a keeper holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::shell) struct HeldJob {
    pub(in crate::shell) job: JobId,
    pub(in crate::shell) session: SessionId,
    /// Where the output begins that the keeper still has.
    pub(in crate::shell) settled: OutputOffsets,
    /// How far the output goes that the keeper has read.
    pub(in crate::shell) read: OutputOffsets,
    /// How many bytes of input it was given.
    pub(in crate::shell) input: u64,
    pub(in crate::shell) input_ended: bool,
    /// The number of the last interrupt.
    pub(in crate::shell) interrupts: u32,
    /// The last signal; 0 if there was none.
    pub(in crate::shell) signal: i32,
    pub(in crate::shell) has_ended: bool,
    /// Which submission it was started for. None if its keeper or the server that started it is too old
    /// to know.
    pub(in crate::shell) submission: Option<Submission>,
}

/// Takes whole frames from bytes as they come.
#[derive(Debug, Default)]
pub(super) struct Frames {
    bytes: Vec<u8>,
    taken: usize,
}

impl Frames {
    /// Adds bytes that were read.
    pub(super) fn extend(&mut self, bytes: &[u8]) {
        self.bytes.drain(..self.taken);
        self.taken = 0;
        self.bytes.extend_from_slice(bytes);
    }

    /// The next whole frame, without its length.
    ///
    /// # Errors
    ///
    /// When it is longer than [`KEEPER_FRAME`].
    pub(super) fn next(&mut self) -> io::Result<Option<&[u8]>> {
        let rest = self.bytes.get(self.taken..).unwrap_or_default();
        let Some(length) = rest.first_chunk() else {
            return Ok(None);
        };
        let length = u32::from_le_bytes(*length) as usize;
        if length > KEEPER_FRAME {
            return Err(invalid("a frame is too long"));
        }
        let Some(end) = (LENGTH + length <= rest.len()).then_some(self.taken + LENGTH + length)
        else {
            return Ok(None);
        };
        let begin = std::mem::replace(&mut self.taken, end) + LENGTH;
        Ok(self.bytes.get(begin..end))
    }
}

const LENGTH: usize = 4;

/// The kinds of frames. Never changed or reused.
mod kind {
    pub(super) const HELLO: u8 = 1;
    pub(super) const START: u8 = 2;
    pub(super) const RESUME: u8 = 3;
    pub(super) const INPUT: u8 = 4;
    pub(super) const END_INPUT: u8 = 5;
    pub(super) const SIGNAL: u8 = 6;
    pub(super) const SETTLED: u8 = 7;
    pub(super) const CUT: u8 = 8;
    pub(super) const FORGET: u8 = 9;
    pub(super) const QUIT: u8 = 10;
    // Version 2.
    pub(super) const START_WITH_OUTPUT: u8 = 11;
    pub(super) const HIDDEN_INPUT: u8 = 12;
    pub(super) const RESIZE: u8 = 13;
    pub(super) const ASK_MODE: u8 = 14;
    pub(super) const HANG_UP: u8 = 15;
    pub(super) const WELCOME: u8 = 65;
    pub(super) const STARTED: u8 = 66;
    pub(super) const NOT_STARTED: u8 = 67;
    pub(super) const OUTPUT: u8 = 68;
    pub(super) const INPUT_WRITTEN: u8 = 69;
    pub(super) const INPUT_CLOSED: u8 = 70;
    pub(super) const EXITED: u8 = 71;
    pub(super) const OUTPUT_HELD: u8 = 72;
    // Version 2.
    pub(super) const MODE: u8 = 73;
}

/// Appends a frame: `body` adds the fields.
fn frame(out: &mut Vec<u8>, kind: u8, body: impl FnOnce(&mut Vec<u8>)) {
    let begin = out.len();
    out.extend_from_slice(&[0; LENGTH]);
    out.push(kind);
    body(out);
    let length = u32::try_from(out.len() - begin - LENGTH).unwrap_or(u32::MAX);
    if let Some(place) = out.get_mut(begin..begin + LENGTH) {
        place.copy_from_slice(&length.to_le_bytes());
    }
}

fn put_u64(out: &mut Vec<u8>, number: u64) {
    out.extend_from_slice(&number.to_le_bytes());
}

fn put_i32(out: &mut Vec<u8>, number: i32) {
    out.extend_from_slice(&number.to_le_bytes());
}

fn put_u32(out: &mut Vec<u8>, number: u32) {
    out.extend_from_slice(&number.to_le_bytes());
}

fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    put_u32(out, u32::try_from(bytes.len()).unwrap_or(u32::MAX));
    out.extend_from_slice(bytes);
}

fn put_text(out: &mut Vec<u8>, text: &OsStr) {
    put_bytes(out, text.as_bytes());
}

/// Nothing is put for none: it is the last field, and old ones end before it.
fn put_submission(out: &mut Vec<u8>, submission: Option<Submission>) {
    let numbers = submission.map(Submission::to_numbers);
    numbers
        .into_iter()
        .flatten()
        .for_each(|it| put_u64(out, it));
}

fn put_offsets(out: &mut Vec<u8>, offsets: OutputOffsets) {
    put_u64(out, offsets.stdout);
    put_u64(out, offsets.stderr);
}

/// Old keepers know one kind of output only.
const fn start_kind(output: JobOutput) -> u8 {
    match output {
        JobOutput::Separate => kind::START,
        JobOutput::Merged | JobOutput::Terminal(_) => kind::START_WITH_OUTPUT,
    }
}

fn put_output_kind(out: &mut Vec<u8>, output: JobOutput) {
    match output {
        JobOutput::Separate => {}
        JobOutput::Merged => out.push(MERGED),
        JobOutput::Terminal(size) => {
            out.push(TERMINAL);
            put_size(out, size);
        }
    }
}

fn put_size(out: &mut Vec<u8>, size: TerminalSize) {
    out.extend_from_slice(&size.columns.to_le_bytes());
    out.extend_from_slice(&size.rows.to_le_bytes());
}

const MERGED: u8 = 2;

/// A kind of output, and the flag that there is a mode.
const TERMINAL: u8 = 4;
const ECHOES: u8 = 1;
const COLLECTS_LINES: u8 = 2;

const fn stream_code(stream: OutputStream) -> u8 {
    match stream {
        OutputStream::Stdout => 1,
        OutputStream::Stderr => 2,
    }
}

/// Appends a frame of output, whose bytes may be in two parts.
pub(super) fn put_output(
    out: &mut Vec<u8>,
    job: JobId,
    stream: OutputStream,
    offset: u64,
    (first, second): (&[u8], &[u8]),
) {
    frame(out, kind::OUTPUT, |out| {
        put_u64(out, job.0);
        out.push(stream_code(stream));
        put_u64(out, offset);
        let length = first.len() + second.len();
        put_u32(out, u32::try_from(length).unwrap_or(u32::MAX));
        out.extend_from_slice(first);
        out.extend_from_slice(second);
    });
}

impl ToKeeper {
    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Self::Hello {
                version,
                owner,
                patience,
            } => frame(out, kind::HELLO, |out| {
                put_u32(out, *version);
                put_bytes(out, owner);
                put_u64(out, *patience);
            }),
            Self::Start {
                job,
                session,
                program,
                has_input,
                output,
                submission,
            } => frame(out, start_kind(*output), |out| {
                put_output_kind(out, *output);
                put_u64(out, job.0);
                out.extend_from_slice(&session.to_bytes());
                out.push(u8::from(*has_input));
                put_text(out, &program.path);
                put_text(out, program.directory.as_os_str());
                put_u32(out, u32::try_from(program.arguments.len()).unwrap_or(0));
                for argument in &program.arguments {
                    put_text(out, argument);
                }
                put_u32(out, u32::try_from(program.environment.len()).unwrap_or(0));
                for (name, value) in &program.environment {
                    put_text(out, name);
                    put_text(out, value);
                }
                put_submission(out, *submission);
            }),
            Self::Resume { job, from } => frame(out, kind::RESUME, |out| {
                put_u64(out, job.0);
                put_offsets(out, *from);
            }),
            Self::Input { job, offset, bytes } => frame(out, kind::INPUT, |out| {
                put_u64(out, job.0);
                put_u64(out, *offset);
                put_bytes(out, bytes);
            }),
            Self::HiddenInput { job, bytes } => frame(out, kind::HIDDEN_INPUT, |out| {
                put_u64(out, job.0);
                put_bytes(out, bytes);
            }),
            Self::Resize { job, size } => frame(out, kind::RESIZE, |out| {
                put_u64(out, job.0);
                put_size(out, *size);
            }),
            Self::AskMode { job, question } => frame(out, kind::ASK_MODE, |out| {
                put_u64(out, job.0);
                put_u64(out, *question);
            }),
            Self::HangUp {
                job,
                interrupts,
                signal,
            } => frame(out, kind::HANG_UP, |out| {
                put_u64(out, job.0);
                put_u32(out, *interrupts);
                put_i32(out, *signal);
            }),
            Self::EndInput { job } => frame(out, kind::END_INPUT, |out| put_u64(out, job.0)),
            Self::Signal {
                job,
                interrupts,
                signal,
            } => frame(out, kind::SIGNAL, |out| {
                put_u64(out, job.0);
                put_u32(out, *interrupts);
                put_i32(out, *signal);
            }),
            Self::Settled { job, offsets } => frame(out, kind::SETTLED, |out| {
                put_u64(out, job.0);
                put_offsets(out, *offsets);
            }),
            Self::Cut { job } => frame(out, kind::CUT, |out| put_u64(out, job.0)),
            Self::Forget { job } => frame(out, kind::FORGET, |out| put_u64(out, job.0)),
            Self::Quit => frame(out, kind::QUIT, |_| {}),
        }
    }

    /// Decodes a frame. None: its kind is unknown.
    ///
    /// # Errors
    ///
    /// When it has not the fields of its kind.
    pub(super) fn decode(frame: &[u8]) -> io::Result<Option<Self>> {
        let mut fields = Fields(frame);
        Ok(Some(match fields.u8()? {
            kind::HELLO => Self::Hello {
                version: fields.u32()?,
                owner: fields.bytes()?.to_vec(),
                patience: fields.u64()?,
            },
            start @ (kind::START | kind::START_WITH_OUTPUT) => {
                let output = match start {
                    kind::START => JobOutput::Separate,
                    _ => fields.output_kind()?,
                };
                let (job, session) = (fields.job()?, fields.session()?);
                let has_input = fields.u8()? != 0;
                let path = fields.text()?;
                let directory = fields.text()?.into();
                let arguments = fields.list(Fields::text)?;
                let environment = fields.list(|fields| Ok((fields.text()?, fields.text()?)))?;
                Self::Start {
                    job,
                    session,
                    has_input,
                    output,
                    submission: fields.submission()?,
                    program: Program {
                        path,
                        arguments,
                        environment,
                        directory,
                    },
                }
            }
            kind::RESUME => Self::Resume {
                job: fields.job()?,
                from: fields.offsets()?,
            },
            kind::INPUT => Self::Input {
                job: fields.job()?,
                offset: fields.u64()?,
                bytes: fields.bytes()?.to_vec(),
            },
            kind::HIDDEN_INPUT => Self::HiddenInput {
                job: fields.job()?,
                bytes: fields.bytes()?.to_vec(),
            },
            kind::RESIZE => Self::Resize {
                job: fields.job()?,
                size: fields.size()?,
            },
            kind::ASK_MODE => Self::AskMode {
                job: fields.job()?,
                question: fields.u64()?,
            },
            kind::HANG_UP => Self::HangUp {
                job: fields.job()?,
                interrupts: fields.u32()?,
                signal: fields.i32()?,
            },
            kind::END_INPUT => Self::EndInput { job: fields.job()? },
            kind::SIGNAL => Self::Signal {
                job: fields.job()?,
                interrupts: fields.u32()?,
                signal: fields.i32()?,
            },
            kind::SETTLED => Self::Settled {
                job: fields.job()?,
                offsets: fields.offsets()?,
            },
            kind::CUT => Self::Cut { job: fields.job()? },
            kind::FORGET => Self::Forget { job: fields.job()? },
            kind::QUIT => Self::Quit,
            _ => return Ok(None),
        }))
    }
}

impl ToServer {
    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Self::Welcome { version, jobs } => frame(out, kind::WELCOME, |out| {
                put_u32(out, *version);
                put_u32(out, u32::try_from(jobs.len()).unwrap_or(0));
                for held in jobs {
                    // As bytes, so that a newer keeper can say more about a job.
                    let mut fields = Vec::new();
                    put_u64(&mut fields, held.job.0);
                    fields.extend_from_slice(&held.session.to_bytes());
                    put_offsets(&mut fields, held.settled);
                    put_offsets(&mut fields, held.read);
                    put_u64(&mut fields, held.input);
                    fields.push(u8::from(held.input_ended));
                    put_u32(&mut fields, held.interrupts);
                    put_i32(&mut fields, held.signal);
                    fields.push(u8::from(held.has_ended));
                    put_submission(&mut fields, held.submission);
                    put_bytes(out, &fields);
                }
            }),
            Self::Started { job } => frame(out, kind::STARTED, |out| put_u64(out, job.0)),
            Self::NotStarted { job, error } => frame(out, kind::NOT_STARTED, |out| {
                put_u64(out, job.0);
                put_i32(out, *error);
            }),
            Self::Output {
                job,
                stream,
                offset,
                bytes,
            } => put_output(out, *job, *stream, *offset, (bytes, &[])),
            Self::InputWritten { job, written } => frame(out, kind::INPUT_WRITTEN, |out| {
                put_u64(out, job.0);
                put_u64(out, *written);
            }),
            Self::InputClosed { job } => frame(out, kind::INPUT_CLOSED, |out| put_u64(out, job.0)),
            Self::OutputHeld { job, reader, pipes } => frame(out, kind::OUTPUT_HELD, |out| {
                put_u64(out, job.0);
                put_u32(out, *reader);
                put_u32(out, u32::try_from(pipes.len()).unwrap_or(0));
                pipes.iter().for_each(|pipe| put_text(out, pipe));
            }),
            Self::Mode { question, mode } => frame(out, kind::MODE, |out| {
                put_u64(out, *question);
                out.push(match mode {
                    None => 0,
                    Some(mode) => {
                        TERMINAL
                            + ECHOES * u8::from(mode.echoes)
                            + COLLECTS_LINES * u8::from(mode.collects_lines)
                    }
                });
            }),
            Self::Exited { job, status, group } => frame(out, kind::EXITED, |out| {
                put_u64(out, job.0);
                out.push(u8::from(status.is_some()));
                put_i32(out, status.unwrap_or_default());
                put_i32(out, group.unwrap_or_default());
            }),
        }
    }

    /// Decodes a frame. None: its kind is unknown.
    ///
    /// # Errors
    ///
    /// When it has not the fields of its kind.
    pub(super) fn decode(frame: &[u8]) -> io::Result<Option<Self>> {
        let mut fields = Fields(frame);
        Ok(Some(match fields.u8()? {
            kind::WELCOME => {
                let version = fields.u32()?;
                let jobs = fields.list(|fields| {
                    let mut fields = Fields(fields.bytes()?);
                    Ok(HeldJob {
                        job: fields.job()?,
                        session: fields.session()?,
                        settled: fields.offsets()?,
                        read: fields.offsets()?,
                        input: fields.u64()?,
                        input_ended: fields.u8()? != 0,
                        interrupts: fields.u32()?,
                        signal: fields.i32()?,
                        has_ended: fields.u8()? != 0,
                        submission: fields.submission()?,
                    })
                })?;
                Self::Welcome { version, jobs }
            }
            kind::STARTED => Self::Started { job: fields.job()? },
            kind::NOT_STARTED => Self::NotStarted {
                job: fields.job()?,
                error: fields.i32()?,
            },
            kind::OUTPUT => Self::Output {
                job: fields.job()?,
                stream: match fields.u8()? {
                    1 => OutputStream::Stdout,
                    2 => OutputStream::Stderr,
                    _ => return Err(invalid("an unknown stream")),
                },
                offset: fields.u64()?,
                bytes: fields.bytes()?.to_vec(),
            },
            kind::INPUT_WRITTEN => Self::InputWritten {
                job: fields.job()?,
                written: fields.u64()?,
            },
            kind::INPUT_CLOSED => Self::InputClosed { job: fields.job()? },
            kind::OUTPUT_HELD => Self::OutputHeld {
                job: fields.job()?,
                reader: fields.u32()?,
                pipes: fields.list(Fields::text)?,
            },
            kind::MODE => {
                let question = fields.u64()?;
                let flags = fields.u8()?;
                let mode = TerminalMode {
                    echoes: flags & ECHOES != 0,
                    collects_lines: flags & COLLECTS_LINES != 0,
                };
                Self::Mode {
                    question,
                    mode: (flags & TERMINAL != 0).then_some(mode),
                }
            }
            kind::EXITED => {
                let job = fields.job()?;
                let is_known = fields.u8()? != 0;
                let status = fields.i32()?;
                let group = fields.i32()?;
                Self::Exited {
                    job,
                    status: is_known.then_some(status),
                    group: (group != 0).then_some(group),
                }
            }
            _ => return Ok(None),
        }))
    }
}

/// The fields of a frame that are not read yet.
struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    fn array<const N: usize>(&mut self) -> io::Result<[u8; N]> {
        let (first, rest) = self
            .0
            .split_first_chunk::<N>()
            .ok_or_else(|| invalid("a frame is too short"))?;
        self.0 = rest;
        Ok(*first)
    }

    fn u8(&mut self) -> io::Result<u8> {
        self.array::<1>().map(|[byte]| byte)
    }

    fn u32(&mut self) -> io::Result<u32> {
        self.array().map(u32::from_le_bytes)
    }

    fn i32(&mut self) -> io::Result<i32> {
        self.array().map(i32::from_le_bytes)
    }

    fn u64(&mut self) -> io::Result<u64> {
        self.array().map(u64::from_le_bytes)
    }

    fn job(&mut self) -> io::Result<JobId> {
        self.u64().map(JobId)
    }

    fn session(&mut self) -> io::Result<SessionId> {
        self.array().map(SessionId::from_bytes)
    }

    /// None if there are no further fields.
    fn submission(&mut self) -> io::Result<Option<Submission>> {
        if self.0.is_empty() {
            return Ok(None);
        }
        let numbers = [self.u64()?, self.u64()?, self.u64()?];
        Ok(Some(Submission::from_numbers(numbers)))
    }

    fn offsets(&mut self) -> io::Result<OutputOffsets> {
        Ok(OutputOffsets {
            stdout: self.u64()?,
            stderr: self.u64()?,
        })
    }

    fn u16(&mut self) -> io::Result<u16> {
        self.array().map(u16::from_le_bytes)
    }

    fn size(&mut self) -> io::Result<TerminalSize> {
        Ok(TerminalSize {
            columns: self.u16()?,
            rows: self.u16()?,
        })
    }

    fn output_kind(&mut self) -> io::Result<JobOutput> {
        match self.u8()? {
            MERGED => Ok(JobOutput::Merged),
            TERMINAL => Ok(JobOutput::Terminal(self.size()?)),
            _ => Err(invalid("an unknown output")),
        }
    }

    fn bytes(&mut self) -> io::Result<&'a [u8]> {
        let length = self.u32()? as usize;
        let (first, rest) = self
            .0
            .split_at_checked(length)
            .ok_or_else(|| invalid("a frame is too short"))?;
        self.0 = rest;
        Ok(first)
    }

    fn text(&mut self) -> io::Result<OsString> {
        Ok(OsString::from_vec(self.bytes()?.to_vec()))
    }

    /// Does not preallocate by the length, which may be wrong.
    fn list<T>(&mut self, item: impl Fn(&mut Self) -> io::Result<T>) -> io::Result<Vec<T>> {
        let count = self.u32()?;
        (0..count).map(|_| item(self)).collect()
    }
}

fn invalid(reason: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, reason)
}

const _: () = assert!(KEEPER_JOBS * 128 < KEEPER_FRAME);

#[cfg(test)]
mod tests {
    use super::*;

    const SIZE: TerminalSize = TerminalSize {
        columns: 300,
        rows: 40,
    };

    const SUBMISSION: Submission = Submission::from_numbers([7, 1 << 41, 1 << 40]);

    fn to_keeper() -> Vec<ToKeeper> {
        let (job, session) = (JobId(7), SessionId::from_bytes([3; 16]));
        let offsets = OutputOffsets {
            stdout: 1 << 40,
            stderr: 2,
        };
        vec![
            ToKeeper::Hello {
                version: 1,
                owner: b"whose".to_vec(),
                patience: 9,
            },
            ToKeeper::Start {
                job,
                session,
                program: Program {
                    path: "/bin/sh".into(),
                    arguments: vec!["sh".into(), "-c".into(), "".into()],
                    environment: vec![("A".into(), OsString::from_vec(b"\xff".to_vec()))],
                    directory: "/".into(),
                },
                has_input: true,
                output: JobOutput::Separate,
                submission: None,
            },
            ToKeeper::Start {
                job,
                session,
                program: Program {
                    path: "/bin/sh".into(),
                    arguments: vec![],
                    environment: vec![],
                    directory: "/".into(),
                },
                has_input: false,
                output: JobOutput::Merged,
                submission: Some(SUBMISSION),
            },
            ToKeeper::Start {
                job,
                session,
                program: Program {
                    path: "/bin/sh".into(),
                    arguments: vec![],
                    environment: vec![],
                    directory: "/".into(),
                },
                has_input: true,
                output: JobOutput::Terminal(SIZE),
                submission: Some(SUBMISSION),
            },
            ToKeeper::HiddenInput {
                job,
                bytes: b"secret".to_vec(),
            },
            ToKeeper::Resize { job, size: SIZE },
            ToKeeper::AskMode { job, question: 3 },
            ToKeeper::HangUp {
                job,
                interrupts: 3,
                signal: 1,
            },
            ToKeeper::Resume { job, from: offsets },
            ToKeeper::Input {
                job,
                offset: 5,
                bytes: b"typed".to_vec(),
            },
            ToKeeper::EndInput { job },
            ToKeeper::Signal {
                job,
                interrupts: 2,
                signal: 15,
            },
            ToKeeper::Settled { job, offsets },
            ToKeeper::Cut { job },
            ToKeeper::Forget { job },
            ToKeeper::Quit,
        ]
    }

    fn to_server() -> Vec<ToServer> {
        let job = JobId(7);
        let held = HeldJob {
            job,
            session: SessionId::from_bytes([3; 16]),
            settled: OutputOffsets::default(),
            read: OutputOffsets {
                stdout: 3,
                stderr: 4,
            },
            input: 5,
            input_ended: true,
            interrupts: 6,
            signal: 2,
            has_ended: false,
            submission: Some(SUBMISSION),
        };
        let of_old = HeldJob {
            submission: None,
            ..held
        };
        vec![
            ToServer::Welcome {
                version: 1,
                jobs: vec![held, of_old],
            },
            ToServer::Started { job },
            ToServer::NotStarted { job, error: 2 },
            ToServer::Output {
                job,
                stream: OutputStream::Stderr,
                offset: 11,
                bytes: b"out".to_vec(),
            },
            ToServer::InputWritten { job, written: 12 },
            ToServer::InputClosed { job },
            ToServer::OutputHeld {
                job,
                reader: 12,
                pipes: vec!["pipe:[1]".into()],
            },
            ToServer::Mode {
                question: 3,
                mode: None,
            },
            ToServer::Mode {
                question: 4,
                mode: Some(TerminalMode {
                    echoes: false,
                    collects_lines: true,
                }),
            },
            ToServer::Exited {
                job,
                status: Some(-1),
                group: Some(7),
            },
            ToServer::Exited {
                job,
                status: None,
                group: None,
            },
        ]
    }

    #[test]
    fn frames_come_back_however_they_are_cut() {
        let (mut sent, mut answered) = (Vec::new(), Vec::new());
        to_keeper().iter().for_each(|frame| frame.encode(&mut sent));
        to_server()
            .iter()
            .for_each(|frame| frame.encode(&mut answered));
        for cut in [1, 2, 7, 1_000] {
            let mut frames = Frames::default();
            let mut got = Vec::new();
            for part in sent.chunks(cut) {
                frames.extend(part);
                while let Some(frame) = frames.next().unwrap() {
                    got.push(ToKeeper::decode(frame).unwrap().unwrap());
                }
            }
            assert_eq!(got, to_keeper());
            let mut got = Vec::new();
            for part in answered.chunks(cut) {
                frames.extend(part);
                while let Some(frame) = frames.next().unwrap() {
                    got.push(ToServer::decode(frame).unwrap().unwrap());
                }
            }
            assert_eq!(got, to_server());
        }
    }

    #[test]
    fn a_frame_of_a_newer_version_is_understood_as_far_as_it_is_known() {
        let mut longer = Vec::new();
        frame(&mut longer, kind::FORGET, |out| {
            put_u64(out, 7);
            put_bytes(out, b"a field of tomorrow");
        });
        frame(&mut longer, 200, |out| put_u64(out, 7));
        let mut frames = Frames::default();
        frames.extend(&longer);
        let known = ToKeeper::decode(frames.next().unwrap().unwrap()).unwrap();
        assert_eq!(known, Some(ToKeeper::Forget { job: JobId(7) }));
        let unknown = ToKeeper::decode(frames.next().unwrap().unwrap()).unwrap();
        assert_eq!(unknown, None);
    }

    #[test]
    fn version_1_is_these_bytes_for_ever() {
        let mut bytes = Vec::new();
        ToKeeper::Signal {
            job: JobId(300),
            interrupts: 2,
            signal: 15,
        }
        .encode(&mut bytes);
        assert_eq!(
            bytes,
            b"\x11\0\0\0\x06\x2c\x01\0\0\0\0\0\0\x02\0\0\0\x0f\0\0\0"
        );
        bytes.clear();
        ToServer::Exited {
            job: JobId(1),
            status: Some(256),
            group: Some(2),
        }
        .encode(&mut bytes);
        assert_eq!(
            bytes,
            b"\x12\0\0\0\x47\x01\0\0\0\0\0\0\0\x01\0\x01\0\0\x02\0\0\0"
        );
    }

    #[test]
    fn what_is_no_frame_is_refused() {
        let mut frames = Frames::default();
        frames.extend(&[0xff; 8]);
        assert!(frames.next().is_err());
        for frame in to_keeper() {
            let mut bytes = Vec::new();
            frame.encode(&mut bytes);
            // Without its last field, it is one of an old server.
            let is_new = matches!(
                frame,
                ToKeeper::Start {
                    submission: Some(_),
                    ..
                }
            );
            let old = bytes.len() - if is_new { 24 } else { 0 };
            for end in (5..bytes.len()).filter(|end| *end != old) {
                assert!(ToKeeper::decode(&bytes[LENGTH..end]).is_err(), "{frame:?}");
            }
        }
    }
}

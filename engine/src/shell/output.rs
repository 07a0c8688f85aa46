//! Reports the output of a job as results: JSON objects whose contents, joined, are its bytes.
//!
//! Invariant: output waits for more output for one millisecond at most, and at most one chunk is held
//! while the engine is busy.

use crate::Runtime;
use crate::jobs::runner::{EngineEnded, Reporter};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures::future::{BoxFuture, Either, select};
use futures::io::{AsyncRead, AsyncReadExt};
use rejoin_core::{JobId, OutputPosition, OutputStream};
use std::borrow::Cow;
use std::os::fd::AsRawFd;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// A stream of a job's output, and how much of it was reported.
#[derive(Debug)]
pub(super) struct Counted {
    name: &'static str,
    position: Option<OutputPosition>,
}

impl Counted {
    /// A stream whose job does not outlive the server: how far it goes is not asked.
    pub(super) const fn none(name: &'static str) -> Self {
        let position = None;
        Self { name, position }
    }

    /// A terminal that goes on after this many bytes. It counts as standard output.
    pub(super) const fn terminal(bytes: u64) -> Self {
        let stream = OutputStream::Stdout;
        Self {
            name: TERMINAL,
            position: Some(OutputPosition { stream, bytes }),
        }
    }

    /// A stream that goes on behind this many bytes.
    pub(super) const fn from(stream: OutputStream, bytes: u64) -> Self {
        Self {
            name: stream.name(),
            position: Some(OutputPosition { stream, bytes }),
        }
    }

    /// Reports a result that stands for this many bytes.
    async fn report(
        &mut self,
        result: Arc<str>,
        bytes: usize,
        reporter: &Reporter,
    ) -> Result<(), EngineEnded> {
        match &mut self.position {
            None => reporter.result(result).await,
            Some(position) => {
                position.bytes += bytes as u64;
                reporter.result_at(result, *position).await
            }
        }
    }
}

/// Reports everything from a stream until it is closed.
pub(super) async fn pump(
    mut source: impl AsyncRead + Unpin,
    mut stream: Counted,
    reporter: &Reporter,
    runtime: &dyn Runtime,
) -> Result<(), EngineEnded> {
    let mut chunk = vec![0; CHUNK].into_boxed_slice();
    let mut held = 0;
    let mut burst: Option<BoxFuture<'static, ()>> = None;
    loop {
        let read = source.read(&mut chunk[held..]);
        let read = match &mut burst {
            None => Some(read.await),
            Some(over) => match select(read, over).await {
                Either::Left((read, _)) => Some(read),
                Either::Right(_) => None,
            },
        };
        match read {
            Some(Ok(0)) => return report(&chunk[..held], &mut stream, reporter).await,
            Some(Ok(count)) => held += count,
            Some(Err(error)) => {
                tracing::warn!(%error, stream = stream.name, "cannot read the output of a job");
                return report(&chunk[..held], &mut stream, reporter).await;
            }
            None => {}
        }
        // Output right after a chunk is gathered, so that a program that writes line by line does
        // not cause a result for each line. After a quiet moment, output is reported at once.
        if read.is_some() && burst.is_some() && held < CHUNK {
            continue;
        }
        burst = None;
        let whole = whole_characters(&chunk[..held]);
        if whole > 0 {
            report(&chunk[..whole], &mut stream, reporter).await?;
            chunk.copy_within(whole..held, 0);
            held -= whole;
            burst = Some(runtime.timer(BURST));
        }
    }
}

/// The pipes that these streams read, as /proc names them.
pub(super) fn pipes(stdout: &impl AsRawFd, stderr: Option<&impl AsRawFd>) -> Vec<PathBuf> {
    [Some(stdout.as_raw_fd()), stderr.map(AsRawFd::as_raw_fd)]
        .iter()
        .flatten()
        .filter_map(|stream| std::fs::read_link(format!("/proc/self/fd/{stream}")).ok())
        .collect()
}

/// Reports a line of our own to the readers of a job.
pub(super) async fn report_notice(
    words: &str,
    has_terminal: bool,
    reporter: &Reporter,
) -> Result<(), EngineEnded> {
    match has_terminal {
        true => {
            let words = words.replace('\n', "\r\n");
            report(words.as_bytes(), &mut Counted::none(TERMINAL), reporter).await
        }
        false => report(words.as_bytes(), &mut Counted::none("stderr"), reporter).await,
    }
}

/// Reports these bytes: as text up to the line in which they stop to be UTF-8, and the rest as one
/// piece of Base64.
pub(super) async fn report(
    bytes: &[u8],
    stream: &mut Counted,
    reporter: &Reporter,
) -> Result<(), EngineEnded> {
    let text = match std::str::from_utf8(bytes) {
        Ok(text) => text,
        Err(_) => {
            let valid = bytes.utf8_chunks().next().map_or("", |first| first.valid());
            &valid[..valid.rfind('\n').map_or(0, |end| end + 1)]
        }
    };
    if !text.is_empty() {
        let result = encode(reporter.job, stream.name, "content", text.into());
        stream.report(result, text.len(), reporter).await?;
    }
    let rest = &bytes[text.len()..];
    if !rest.is_empty() {
        let content = STANDARD.encode(rest).into();
        let result = encode(reporter.job, stream.name, "contentBase64", content);
        stream.report(result, rest.len(), reporter).await?;
    }
    Ok(())
}

/// A result with its keys in alphabetical order. Formatted directly, because a map would copy every
/// chunk twice more.
fn encode(job: JobId, stream: &str, key: &str, content: Cow<'_, str>) -> Arc<str> {
    let content = serde_json::to_string(&content).expect("a string can be written as JSON");
    let kind = match stream {
        TERMINAL => TERMINAL,
        _ => "shell",
    };
    format!(r#"{{"{key}":{content},"jobId":{job},"stream":"{stream}","type":"{kind}"}}"#).into()
}

/// The length without an incomplete character at the end.
fn whole_characters(bytes: &[u8]) -> usize {
    for (behind, byte) in bytes.iter().rev().take(3).enumerate() {
        let length = match byte {
            0x80..=0xBF => continue,
            0xC2..=0xDF => 2,
            0xE0..=0xEF => 3,
            0xF0..=0xF4 => 4,
            _ => 1,
        };
        if length > behind + 1 {
            return bytes.len() - behind - 1;
        }
        break;
    }
    bytes.len()
}

/// The stream and the type of what a terminal shows.
const TERMINAL: &str = "terminal";

/// Bytes of a chunk: the capacity of a pipe on Linux.
const CHUNK: usize = 64 * 1024;

/// How long output is gathered after a chunk.
const BURST: Duration = Duration::from_millis(1);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_incomplete_character_is_held_back() {
        for text in ["", "a", "é", "€", "😀", "aé€😀"] {
            let bytes = text.as_bytes();
            assert_eq!(whole_characters(bytes), bytes.len(), "{text}");
            let last = text.chars().last().map_or(0, char::len_utf8);
            for cut in 1..last {
                let end = bytes.len() - cut;
                assert_eq!(
                    whole_characters(&bytes[..end]),
                    bytes.len() - last,
                    "{text}"
                );
            }
        }
        for never in [
            &b"\xff"[..],
            b"\xc0",
            b"\x80\x80\x80\x80",
            b"\xf5\x80",
            b"a\x80",
        ] {
            assert_eq!(whole_characters(never), never.len(), "{never:?}");
        }
    }

    #[test]
    fn a_result_is_what_encode_result_makes() {
        let content = "a \"quoted\"\n\u{1}line \u{2028}";
        let members = serde_json::json!({"content": content, "stream": "stdout"});
        let serde_json::Value::Object(members) = members else {
            unreachable!()
        };
        assert_eq!(
            encode(JobId(7), "stdout", "content", content.into()),
            crate::encode_result(JobId(7), "shell", members)
        );
    }
}

//! Parser for Server-Sent Events, as far as Rejoin's streams use them.
//!
//! Takes bytes, split anywhere, and returns complete events.

use super::limits::EVENT_BYTES;

/// One event of a stream.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Block {
    /// The sequence, as text.
    pub(crate) id: Option<String>,
    /// The event's type; empty for ordinary events.
    pub(crate) event: String,
    /// The lines of `data`, joined.
    pub(crate) data: String,
}

/// Splits a stream into events.
#[derive(Debug, Default)]
pub(crate) struct Parser {
    /// Bytes that are not parsed yet.
    buffer: Vec<u8>,
    /// The number of bytes at the start of `buffer` without a line feed.
    scanned: usize,
    block: Block,
    is_started: bool,
}

/// An event is longer than the limit.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct TooLong;

impl Parser {
    pub(crate) fn push(&mut self, bytes: &[u8]) -> Result<(), TooLong> {
        self.buffer.extend_from_slice(bytes);
        match self.buffer.len() + self.block.data.len() > EVENT_BYTES {
            true => Err(TooLong),
            false => Ok(()),
        }
    }

    /// The next complete event.
    pub(crate) fn next(&mut self) -> Option<Block> {
        let mut begin = 0;
        let found = loop {
            let rest = &self.buffer[begin + self.scanned..];
            let Some(end) = rest.iter().position(|byte| *byte == b'\n') else {
                self.scanned += rest.len();
                break None;
            };
            let line = &self.buffer[begin..begin + self.scanned + end];
            begin += self.scanned + end + 1;
            self.scanned = 0;
            let line = line.strip_suffix(b"\r").unwrap_or(line);
            if !line.is_empty() {
                take(&mut self.block, &String::from_utf8_lossy(line));
                self.is_started = true;
            } else if std::mem::take(&mut self.is_started) {
                let block = std::mem::take(&mut self.block);
                // Comments and `retry` alone are not events.
                if block != Block::default() {
                    break Some(block);
                }
            }
        };
        self.buffer.drain(..begin);
        found
    }
}

fn take(block: &mut Block, line: &str) {
    let (name, value) = line.split_once(':').unwrap_or((line, ""));
    let value = value.strip_prefix(' ').unwrap_or(value);
    match name {
        "id" => block.id = Some(value.to_owned()),
        "event" => value.clone_into(&mut block.event),
        "data" => {
            if !block.data.is_empty() {
                block.data.push('\n');
            }
            block.data.push_str(value);
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STREAM: &str = "retry: 1000\n\n:\n\nid: 1\ndata: {\"a\":\"é\"}\n\nid: 2\r\ndata:x\r\n\
        data: y\r\n\r\nevent: end\ndata: {}\n\nid: 3\ndata: cut";

    fn parsed(chunk: usize) -> Vec<Block> {
        let mut parser = Parser::default();
        let mut blocks = vec![];
        for part in STREAM.as_bytes().chunks(chunk) {
            parser.push(part).unwrap();
            while let Some(block) = parser.next() {
                blocks.push(block);
            }
        }
        blocks
    }

    #[test]
    fn a_stream_can_be_split_anywhere() {
        let block = |id: Option<&str>, event: &str, data: &str| Block {
            id: id.map(str::to_owned),
            event: event.to_owned(),
            data: data.to_owned(),
        };
        let expected = [
            block(Some("1"), "", "{\"a\":\"é\"}"),
            block(Some("2"), "", "x\ny"),
            block(None, "end", "{}"),
        ];
        for chunk in 1..=STREAM.len() {
            assert_eq!(parsed(chunk), expected, "in parts of {chunk}");
        }
    }

    #[test]
    fn an_endless_event_is_rejected() {
        let mut parser = Parser::default();
        let part = vec![b'x'; EVENT_BYTES / 2];
        assert_eq!(parser.push(&part), Ok(()));
        assert_eq!(parser.next(), None);
        assert_eq!(parser.push(&part), Ok(()));
        assert_eq!(parser.push(b"x"), Err(TooLong));
    }
}

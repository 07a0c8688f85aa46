//! Server-Sent Events, as far as Rejoin's streams use them.
//!
//! Pure. What enters: bytes, cut anywhere. What leaves: events, whole. Never: an event whose end has
//! not come.

use super::limits::EVENT_BYTES;

/// One event of a stream.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Block {
    /// Its sequence, as the server wrote it.
    pub(crate) id: Option<String>,
    /// What it is; empty: as usual.
    pub(crate) event: String,
    /// Its lines.
    pub(crate) data: String,
}

/// Takes a stream apart.
#[derive(Debug, Default)]
pub(crate) struct Parser {
    /// What has come and was not taken apart.
    ahead: Vec<u8>,
    /// So many bytes of it were looked through, and hold no line's end.
    looked: usize,
    block: Block,
    is_begun: bool,
}

/// An event is longer than any server's.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct TooLong;

impl Parser {
    pub(crate) fn push(&mut self, bytes: &[u8]) -> Result<(), TooLong> {
        self.ahead.extend_from_slice(bytes);
        match self.ahead.len() + self.block.data.len() > EVENT_BYTES {
            true => Err(TooLong),
            false => Ok(()),
        }
    }

    /// The next event that is whole.
    pub(crate) fn next(&mut self) -> Option<Block> {
        let mut begin = 0;
        let found = loop {
            let rest = &self.ahead[begin + self.looked..];
            let Some(end) = rest.iter().position(|byte| *byte == b'\n') else {
                self.looked += rest.len();
                break None;
            };
            let line = &self.ahead[begin..begin + self.looked + end];
            begin += self.looked + end + 1;
            self.looked = 0;
            let line = line.strip_suffix(b"\r").unwrap_or(line);
            if !line.is_empty() {
                take(&mut self.block, &String::from_utf8_lossy(line));
                self.is_begun = true;
            } else if std::mem::take(&mut self.is_begun) {
                let block = std::mem::take(&mut self.block);
                // Comments and `retry` alone are no event.
                if block != Block::default() {
                    break Some(block);
                }
            }
        };
        self.ahead.drain(..begin);
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
    fn a_stream_may_be_cut_anywhere() {
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
    fn an_event_without_end_is_refused() {
        let mut parser = Parser::default();
        let part = vec![b'x'; EVENT_BYTES / 2];
        assert_eq!(parser.push(&part), Ok(()));
        assert_eq!(parser.next(), None);
        assert_eq!(parser.push(&part), Ok(()));
        assert_eq!(parser.push(b"x"), Err(TooLong));
    }
}

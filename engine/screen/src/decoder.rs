//! Turns bytes into text: bytes that are not UTF-8 become U+FFFD, and a character that is split between
//! two writes stays whole.

/// Decodes text that comes in pieces; keeps the beginning of a character whose end has not come yet.
///
/// Bytes that are not UTF-8 become U+FFFD.
#[derive(Clone, Debug, Default)]
pub struct Decoder {
    begun: Vec<u8>,
}

impl Decoder {
    /// The text of these bytes, after what has begun before.
    pub fn decode(&mut self, bytes: &[u8]) -> String {
        let mut all = std::mem::take(&mut self.begun);
        all.extend_from_slice(bytes);
        let mut text = String::with_capacity(all.len());
        let mut rest = &all[..];
        loop {
            match std::str::from_utf8(rest) {
                Ok(valid) => {
                    text.push_str(valid);
                    return text;
                }
                Err(error) => {
                    let (valid, after) = rest.split_at(error.valid_up_to());
                    text.push_str(&String::from_utf8_lossy(valid));
                    let Some(length) = error.error_len() else {
                        self.begun = after.to_vec();
                        return text;
                    };
                    text.push(char::REPLACEMENT_CHARACTER);
                    rest = &after[length..];
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_may_be_split_anywhere() {
        let bytes = "aé日😀\u{7f}".as_bytes();
        let broken = [bytes, b"\xff\xe6\x97z\xc3"].concat();
        for at in 0..=broken.len() {
            let mut decoder = Decoder::default();
            let mut text = decoder.decode(&broken[..at]);
            text += &decoder.decode(&broken[at..]);
            assert_eq!(text, "aé日😀\u{7f}\u{fffd}\u{fffd}z", "split at {at}");
            assert_eq!(decoder.begun, [0xc3]);
        }
    }
}

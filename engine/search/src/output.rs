//! The output that a result is.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use std::borrow::Cow;

/// The output that a result is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutputPart<'a> {
    /// The stream that it is from, as the result names it. None of a result that is not output of a
    /// program.
    pub stream: Option<Cow<'a, str>>,
    /// What the program wrote; a result of another kind as a line of JSON.
    pub bytes: Cow<'a, [u8]>,
}

/// The output that a result is. None: it has none.
///
/// ```
/// use rejoin_search::output_part;
///
/// let result = r#"{"content":"a\n","jobId":1,"stream":"stderr","type":"shell"}"#;
/// let part = output_part(result).ok_or("it is output")?;
/// assert_eq!((part.stream.as_deref(), &*part.bytes), (Some("stderr"), &b"a\n"[..]));
/// # Ok::<_, &str>(())
/// ```
#[must_use]
pub fn output_part(result: &str) -> Option<OutputPart<'_>> {
    let parsed: Option<ProgramOutput<'_>> = serde_json::from_str(result).ok();
    let parsed = parsed.filter(|parsed| matches!(&*parsed.kind, "shell" | "terminal"));
    let Some(ProgramOutput {
        stream,
        content,
        content_base64,
        ..
    }) = parsed
    else {
        let bytes = Cow::Owned([result.as_bytes(), b"\n"].concat());
        return Some(OutputPart {
            stream: None,
            bytes,
        });
    };
    let bytes = match (content, content_base64) {
        (Some(Cow::Borrowed(text)), _) => Cow::Borrowed(text.as_bytes()),
        (Some(Cow::Owned(text)), _) => Cow::Owned(text.into_bytes()),
        (None, Some(encoded)) => Cow::Owned(STANDARD.decode(encoded.as_bytes()).ok()?),
        (None, None) => return None,
    };
    Some(OutputPart { stream, bytes })
}

/// A result of the shell or of a terminal.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ProgramOutput<'a> {
    #[serde(borrow, rename = "type")]
    kind: Cow<'a, str>,
    #[serde(borrow)]
    stream: Option<Cow<'a, str>>,
    #[serde(borrow)]
    content: Option<Cow<'a, str>>,
    #[serde(borrow)]
    content_base64: Option<Cow<'a, str>>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_output_of_a_result_is_its_bytes() {
        for (result, stream, bytes) in [
            (
                r#"{"content":"a\n","jobId":1,"stream":"stdout","type":"shell"}"#,
                Some("stdout"),
                &b"a\n"[..],
            ),
            (
                r#"{"contentBase64":"/w==","jobId":1,"stream":"stderr","type":"shell"}"#,
                Some("stderr"),
                b"\xFF",
            ),
            (
                r#"{"content":"\u001b[1ma","jobId":1,"stream":"terminal","type":"terminal"}"#,
                Some("terminal"),
                b"\x1b[1ma",
            ),
            (
                r#"{"rows":[1],"type":"table"}"#,
                None,
                b"{\"rows\":[1],\"type\":\"table\"}\n",
            ),
        ] {
            let part = output_part(result).unwrap();
            assert_eq!((part.stream.as_deref(), &*part.bytes), (stream, bytes));
        }
        let broken = r#"{"contentBase64":"?","jobId":1,"stream":"stdout","type":"shell"}"#;
        assert_eq!(output_part(broken), None);
    }
}

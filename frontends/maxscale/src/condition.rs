//! Conditional requests, judged before anything is done. Pure.

use crate::wire;
use rejoin_core::Timestamp;
use sha1_smol::Sha1;

/// The state of a resource, as its validators name it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Version {
    /// Forty hexadecimal digits.
    tag: String,
    changed: Timestamp,
}

/// What a request's headers demand.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Conditions<'request> {
    pub(crate) if_match: Option<&'request str>,
    pub(crate) if_none_match: Option<&'request str>,
    pub(crate) if_modified_since: Option<&'request str>,
    pub(crate) if_unmodified_since: Option<&'request str>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Proceed,
    NotModified,
    Failed,
}

impl Version {
    /// The version of what has this name, this revision, and has changed then.
    pub(crate) fn new(name: &str, revision: u64, changed: Timestamp) -> Self {
        let identity = format!("{name} {revision} {}", changed.as_millis());
        let tag = Sha1::from(identity).digest().to_string();
        Self { tag, changed }
    }

    pub(crate) fn etag(&self) -> String {
        format!("\"{}\"", self.tag)
    }

    pub(crate) fn last_modified(&self) -> String {
        wire::http_date(self.changed)
    }

    /// Whether what has this version may be read, or written.
    pub(crate) fn judge(&self, conditions: Conditions<'_>, reads: bool) -> Verdict {
        if let Some(tags) = conditions.if_match {
            if !self.is_among(tags) {
                return Verdict::Failed;
            }
        } else if let Some(since) = conditions
            .if_unmodified_since
            .and_then(wire::parse_http_date)
            && self.changed_second() > since
        {
            return Verdict::Failed;
        }
        // A tag knows more than a date.
        let is_known = match conditions.if_none_match {
            Some(tags) => self.is_among(tags),
            None => conditions
                .if_modified_since
                .filter(|_| reads)
                .and_then(wire::parse_http_date)
                .is_some_and(|since| self.changed_second() <= since),
        };
        match (is_known, reads) {
            (false, _) => Verdict::Proceed,
            (true, true) => Verdict::NotModified,
            (true, false) => Verdict::Failed,
        }
    }

    fn is_among(&self, tags: &str) -> bool {
        tags.split(',').map(str::trim).any(|tag| {
            let tag = tag.strip_prefix("W/").unwrap_or(tag);
            tag == "*" || tag.trim_matches('"') == self.tag
        })
    }

    fn changed_second(&self) -> u64 {
        self.changed.as_millis() / 1_000
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CHANGED: Timestamp = Timestamp::from_millis(1_500_289_839_250);
    const BEFORE: &str = "Mon, 17 Jul 2017 11:10:38 GMT";
    const THEN: &str = "Mon, 17 Jul 2017 11:10:39 GMT";

    fn judged(conditions: Conditions<'_>, reads: bool) -> Verdict {
        Version::new("sessions/1", 7, CHANGED).judge(conditions, reads)
    }

    #[test]
    fn every_revision_has_another_tag() {
        let tag = |name, revision, at| Version::new(name, revision, at).etag();
        let one = tag("sessions", 1, CHANGED);
        assert_eq!(one.len(), 42);
        assert_eq!(one, tag("sessions", 1, CHANGED));
        assert_ne!(one, tag("sessions", 2, CHANGED));
        assert_ne!(one, tag("sessions/1", 1, CHANGED));
        assert_ne!(one, tag("sessions", 1, Timestamp::EPOCH));
    }

    #[test]
    fn tags_decide() {
        let etag = Version::new("sessions/1", 7, CHANGED).etag();
        let list = format!("\"other\", W/{etag}");
        for (tags, is_match) in [
            (&*etag, true),
            (&*list, true),
            ("*", true),
            ("\"x\"", false),
        ] {
            let if_match = Conditions {
                if_match: Some(tags),
                ..Default::default()
            };
            let none = Conditions {
                if_none_match: Some(tags),
                ..Default::default()
            };
            for reads in [true, false] {
                let expected = if is_match {
                    Verdict::Proceed
                } else {
                    Verdict::Failed
                };
                assert_eq!(judged(if_match, reads), expected, "{tags}");
            }
            let expected = match is_match {
                true => [Verdict::NotModified, Verdict::Failed],
                false => [Verdict::Proceed, Verdict::Proceed],
            };
            assert_eq!(
                [judged(none, true), judged(none, false)],
                expected,
                "{tags}"
            );
        }
    }

    #[test]
    fn dates_decide_where_there_are_no_tags() {
        let since = |date| Conditions {
            if_modified_since: Some(date),
            ..Default::default()
        };
        assert_eq!(judged(since(BEFORE), true), Verdict::Proceed);
        assert_eq!(judged(since(THEN), true), Verdict::NotModified);
        assert_eq!(judged(since(THEN), false), Verdict::Proceed);
        assert_eq!(judged(since("nonsense"), true), Verdict::Proceed);
        let until = |date| Conditions {
            if_unmodified_since: Some(date),
            ..Default::default()
        };
        assert_eq!(judged(until(BEFORE), false), Verdict::Failed);
        assert_eq!(judged(until(THEN), false), Verdict::Proceed);
    }
}

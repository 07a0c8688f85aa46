//! Conditional requests (RFC 9110, 13): ETags, modification dates, and what the headers require.

use crate::dates::http_date;
use httpdate::HttpDate;
use rejoin_engine::Timestamp;
use sha1_smol::Sha1;

/// The version of a resource, which its ETag and Last-Modified identify.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Version {
    /// Forty hexadecimal digits.
    tag: String,
    /// To the second, as headers have it.
    changed: HttpDate,
}

/// The headers of a request that make it conditional.
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
    /// `name` tells resources apart, `revision` their versions.
    pub(crate) fn new(name: &str, revision: u64, changed: Timestamp) -> Self {
        let identity = format!("{name} {revision} {}", changed.as_millis());
        let tag = Sha1::from(identity).digest().to_string();
        Self {
            tag,
            changed: http_date(changed),
        }
    }

    pub(crate) fn etag(&self) -> String {
        format!("\"{}\"", self.tag)
    }

    pub(crate) fn last_modified(&self) -> String {
        self.changed.to_string()
    }

    /// Checks the conditions of a request that reads or writes this version. Dates that are no HTTP
    /// dates are ignored, and dates beside tags are too.
    pub(crate) fn check(&self, conditions: Conditions<'_>, is_read: bool) -> Verdict {
        if let Some(tags) = conditions.if_match {
            if !self.is_among(tags) {
                return Verdict::Failed;
            }
        } else if let Some(since) = parse(conditions.if_unmodified_since)
            && self.changed > since
        {
            return Verdict::Failed;
        }
        let is_current = match conditions.if_none_match {
            Some(tags) => self.is_among(tags),
            // Only defined for GET and HEAD.
            None => {
                is_read
                    && parse(conditions.if_modified_since)
                        .is_some_and(|since| self.changed <= since)
            }
        };
        match (is_current, is_read) {
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
}

fn parse(date: Option<&str>) -> Option<HttpDate> {
    date?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const CHANGED: Timestamp = Timestamp::from_millis(1_500_289_839_250);
    const BEFORE: &str = "Mon, 17 Jul 2017 11:10:38 GMT";
    const THEN: &str = "Mon, 17 Jul 2017 11:10:39 GMT";

    fn check(conditions: Conditions<'_>, is_read: bool) -> Verdict {
        Version::new("sessions/1", 7, CHANGED).check(conditions, is_read)
    }

    #[test]
    fn every_revision_has_its_own_tag() {
        let tag = |name, revision, at| Version::new(name, revision, at).etag();
        let one = tag("sessions", 1, CHANGED);
        assert_eq!(one.len(), 42);
        assert_eq!(one, tag("sessions", 1, CHANGED));
        assert_ne!(one, tag("sessions", 2, CHANGED));
        assert_ne!(one, tag("sessions/1", 1, CHANGED));
        assert_ne!(one, tag("sessions", 1, Timestamp::EPOCH));
    }

    #[test]
    fn tags_are_compared() {
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
            for is_read in [true, false] {
                let expected = if is_match {
                    Verdict::Proceed
                } else {
                    Verdict::Failed
                };
                assert_eq!(check(if_match, is_read), expected, "{tags}");
            }
            let expected = match is_match {
                true => [Verdict::NotModified, Verdict::Failed],
                false => [Verdict::Proceed, Verdict::Proceed],
            };
            assert_eq!([check(none, true), check(none, false)], expected, "{tags}");
        }
    }

    #[test]
    fn dates_are_compared_without_tags_and_ignored_if_invalid() {
        let since = |date| Conditions {
            if_modified_since: Some(date),
            ..Default::default()
        };
        assert_eq!(check(since(BEFORE), true), Verdict::Proceed);
        assert_eq!(check(since(THEN), true), Verdict::NotModified);
        assert_eq!(check(since(THEN), false), Verdict::Proceed);
        for same_moment in ["Monday, 17-Jul-17 11:10:39 GMT", "Mon Jul 17 11:10:39 2017"] {
            assert_eq!(check(since(same_moment), true), Verdict::NotModified);
        }
        for invalid in [
            "nonsense",
            "Mon, 17 Jul 2017 11:10:39 +0000",
            "17 Jul 2017 11:10:39 GMT",
            "Tue, 17 Jul 2017 11:10:39 GMT",
            "Fri, 31 Feb 2018 11:10:39 GMT",
        ] {
            assert_eq!(check(since(invalid), true), Verdict::Proceed, "{invalid}");
        }
        let until = |date| Conditions {
            if_unmodified_since: Some(date),
            ..Default::default()
        };
        assert_eq!(check(until(BEFORE), false), Verdict::Failed);
        assert_eq!(check(until(THEN), false), Verdict::Proceed);
    }
}

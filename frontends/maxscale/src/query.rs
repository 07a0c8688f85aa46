//! The query of a request. Names are case-insensitive, and the first of two equal names wins.

use crate::error::Fault;
use crate::filter::Filter;
use rejoin_http::Url;
use std::collections::BTreeMap;

#[derive(Debug, Default)]
pub(crate) struct Query {
    parts: BTreeMap<String, String>,
}

/// A page of a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Page {
    /// Sessions per page; at least one.
    pub(crate) size: usize,
    /// From zero.
    pub(crate) number: usize,
}

impl Query {
    pub(crate) fn parse(url: &Url) -> Self {
        let mut parts = BTreeMap::new();
        for (name, value) in url.query_pairs() {
            parts
                .entry(name.to_lowercase())
                .or_insert_with(|| value.into_owned());
        }
        Self { parts }
    }

    /// Whether the body is indented, which is the default.
    pub(crate) fn is_pretty(&self) -> bool {
        !matches!(self.part("pretty"), Some("false" | "off" | "no" | "0"))
    }

    /// The requested page. An invalid size or number is ignored.
    pub(crate) fn page(&self) -> Option<Page> {
        let number = |name| self.part(name).and_then(|text| text.parse::<usize>().ok());
        let size = number("page[size]").filter(|size| *size > 0)?;
        let number = number("page[number]").unwrap_or(0);
        Some(Page { size, number })
    }

    /// The sparse fieldset for resources of this type.
    pub(crate) fn fields(&self, kind: &str) -> Option<Vec<&str>> {
        let fields = self.part(&format!("fields[{kind}]"))?;
        let fields: Vec<_> = fields
            .split(',')
            .filter(|field| !field.is_empty())
            .collect();
        (!fields.is_empty()).then_some(fields)
    }

    /// After how many seconds a session is closed, parsed like C's `atoi`; 0 if it is no number.
    pub(crate) fn ttl(&self) -> u64 {
        let text = self.part("ttl").unwrap_or_default().trim_start();
        let text = text.strip_prefix('+').unwrap_or(text);
        let end = text.find(|char: char| !char.is_ascii_digit());
        let digits = text.get(..end.unwrap_or(text.len())).unwrap_or_default();
        match digits {
            "" => 0,
            digits => digits.parse().unwrap_or(MAX_SECONDS).min(MAX_SECONDS),
        }
    }

    /// Whether the query has `name=yes`.
    pub(crate) fn is_yes(&self, name: &str) -> bool {
        self.part(name) == Some("yes")
    }

    /// The lifetime of a token in seconds. An invalid one is ignored.
    pub(crate) fn max_age(&self) -> Option<u64> {
        let seconds = self.part("max-age")?.parse().ok()?;
        (1..MAX_SECONDS).contains(&seconds).then_some(seconds)
    }

    /// All filters of a list.
    pub(crate) fn filters(&self) -> Result<Vec<Filter>, Fault> {
        let mut filters = Vec::new();
        // Without a second `=` it is ignored.
        if let Some((pointer, expression)) =
            self.part("filter").and_then(|text| text.split_once('='))
        {
            filters.push(Filter::by_pointer(pointer, expression)?);
        }
        for (path, expression) in self.path_filters() {
            filters.push(Filter::by_path(path, expression)?);
        }
        Ok(filters)
    }

    pub(crate) fn has_path_filters(&self) -> bool {
        self.path_filters().next().is_some()
    }

    /// Everything but the page, for links to other pages.
    pub(crate) fn parts_except_page(&self) -> impl Iterator<Item = (&str, &str)> {
        self.parts
            .iter()
            .filter(|(name, _)| !name.starts_with("page["))
            .map(|(name, value)| (name.as_str(), value.as_str()))
    }

    fn path_filters(&self) -> impl Iterator<Item = (&str, &str)> {
        self.parts.iter().filter_map(|(name, value)| {
            let path = name.strip_prefix("filter[")?.strip_suffix(']')?;
            Some((path, value.as_str()))
        })
    }

    fn part(&self, name: &str) -> Option<&str> {
        self.parts.get(name).map(String::as_str)
    }
}

/// The largest C `int`.
const MAX_SECONDS: u64 = 2_147_483_647;

#[cfg(test)]
mod tests {
    use super::*;

    fn query(text: &str) -> Query {
        Query::parse(&Url::parse(&format!("http://x/?{text}")).unwrap())
    }

    #[test]
    fn names_are_case_insensitive_and_the_first_of_two_wins() {
        let query = query("PAGE%5bSIZE%5d=2&page[size]=3&Page[Number]=4&Pretty=off");
        assert_eq!(query.page(), Some(Page { size: 2, number: 4 }));
        assert!(!query.is_pretty());
    }

    #[test]
    fn a_page_needs_a_valid_size() {
        assert_eq!(
            query("page[size]=5").page(),
            Some(Page { size: 5, number: 0 })
        );
        for none in [
            "",
            "page[number]=1",
            "page[size]=0",
            "page[size]=-1",
            "page[size]=x",
        ] {
            assert_eq!(query(none).page(), None, "{none}");
        }
    }

    #[test]
    fn a_ttl_is_parsed_like_atoi() {
        for (text, seconds) in [
            ("ttl=5", 5),
            ("ttl=%205x", 5),
            ("ttl=-5", 0),
            ("ttl=abc", 0),
            ("ttl=", 0),
            ("", 0),
            ("ttl=99999999999999999999", MAX_SECONDS),
        ] {
            assert_eq!(query(text).ttl(), seconds, "{text}");
        }
    }

    #[test]
    fn a_filter_without_a_second_equals_sign_is_ignored() {
        assert!(query("filter=abc").filters().unwrap().is_empty());
        assert_eq!(
            query("filter=id=eq(1)&filter[id]=eq(1)")
                .filters()
                .unwrap()
                .len(),
            2
        );
        assert!(query("filter=id=magic").filters().is_err());
    }

    #[test]
    fn an_empty_fieldset_is_ignored() {
        assert_eq!(query("fields[sessions]=").fields("sessions"), None);
        let two = query("fields[sessions]=user,client/cipher");
        assert_eq!(two.fields("sessions"), Some(vec!["user", "client/cipher"]));
        assert_eq!(two.fields("services"), None);
    }
}

//! For tests of whoever builds on this crate: filters without a server. What enters is a query, what
//! leaves is what a list would show.

use crate::filter::{Filter, Plan};
use crate::query::Query;
use rejoin_http::Url;
use serde_json::Value;

/// The filters of a query, asked in both ways that lists know.
#[derive(Clone, Debug)]
pub struct Filters {
    each: Vec<Filter>,
    plan: Plan,
}

impl Filters {
    /// Reads the filters of a URL's query.
    ///
    /// # Errors
    ///
    /// In the words of the answer, when a filter is refused.
    pub fn parse(url: &Url) -> Result<Self, String> {
        Query::parse(url)
            .filters()
            .map(Self::of)
            .map_err(|fault| fault.detail().unwrap_or_default())
    }

    /// As `filter=POINTER=EXPRESSION`.
    ///
    /// # Errors
    ///
    /// As [`Self::parse`].
    pub fn by_pointer(pointer: &str, expression: &str) -> Result<Self, String> {
        Filter::by_pointer(pointer, expression)
            .map(|filter| Self::of(vec![filter]))
            .map_err(|fault| fault.detail().unwrap_or_default())
    }

    fn of(each: Vec<Filter>) -> Self {
        let plan = Plan::new(each.clone());
        Self { each, plan }
    }

    /// Whether each of the filters holds of the resource.
    #[must_use]
    pub fn hold(&self, resource: &Value) -> bool {
        self.each.iter().all(|filter| filter.matches(resource))
    }

    /// Whether a list shows the session's resource: the indices know its number, user and service,
    /// and what they don't answer is asked of it.
    #[must_use]
    pub fn show(&self, resource: &Value) -> bool {
        let selection = self.plan.selection(0);
        let number = resource["id"].as_str().and_then(|id| id.parse().ok());
        let user = resource["attributes"]["user"].as_str();
        let service = resource["relationships"]["services"]["data"][0]["id"].as_str();
        number.is_some_and(|number| selection.numbers.contains(&number))
            && selection.user.is_none_or(|wanted| user == Some(wanted))
            && selection
                .service
                .is_none_or(|wanted| service == Some(wanted))
            && self.plan.shows(resource)
    }
}

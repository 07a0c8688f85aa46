//! Filters without a server, for fuzzers.

use crate::filter::{Filter, QueryPlan};
use crate::query::Query;
use rejoin_http::Url;
use serde_json::Value;

/// The filters of a query, evaluated in both ways that lists use.
#[derive(Clone, Debug)]
pub struct Filters {
    filters: Vec<Filter>,
    plan: QueryPlan,
}

impl Filters {
    /// Reads the filters of a URL's query.
    ///
    /// # Errors
    ///
    /// With the text of the error response, if a filter is invalid.
    pub fn parse(url: &Url) -> Result<Self, String> {
        Query::parse(url)
            .filters()
            .map(Self::new)
            .map_err(|fault| fault.detail().unwrap_or_default())
    }

    /// Reads `filter=POINTER=EXPRESSION`.
    ///
    /// # Errors
    ///
    /// As [`Self::parse`].
    pub fn by_pointer(pointer: &str, expression: &str) -> Result<Self, String> {
        Filter::by_pointer(pointer, expression)
            .map(|filter| Self::new(vec![filter]))
            .map_err(|fault| fault.detail().unwrap_or_default())
    }

    fn new(filters: Vec<Filter>) -> Self {
        let plan = QueryPlan::new(filters.clone(), "");
        Self { filters, plan }
    }

    /// Whether the resource matches every filter.
    #[must_use]
    pub fn match_resource(&self, resource: &Value) -> bool {
        self.filters.iter().all(|filter| filter.matches(resource))
    }

    /// Whether a list contains the resource: the index selects by number, user and service, and the
    /// remaining filters look at the resource.
    #[must_use]
    pub fn list_contains(&self, resource: &Value) -> bool {
        let selection = self.plan.selection();
        let number = resource["id"].as_str().and_then(|id| id.parse().ok());
        let user = resource["attributes"]["user"].as_str();
        let service = resource["relationships"]["services"]["data"][0]["id"].as_str();
        number.is_some_and(|number| selection.numbers.contains(&number))
            && selection.user.is_none_or(|wanted| user == Some(wanted))
            && selection
                .service
                .is_none_or(|wanted| service == Some(wanted))
            && self.plan.matches(resource)
    }
}

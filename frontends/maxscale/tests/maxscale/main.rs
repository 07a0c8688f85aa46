//! Tests of the API over a real connection.

mod conditions;
mod filters;
mod lists;
mod logins;
mod requests;
mod sessions;
mod support;

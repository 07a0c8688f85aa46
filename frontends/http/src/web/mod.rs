//! What frontends see: requests, responses and the table of routes.

pub(crate) mod body;
pub(crate) mod client_address;
pub(crate) mod compression;
pub(crate) mod cors;
pub(crate) mod host_check;
pub(crate) mod proxies;
pub(crate) mod request;
pub(crate) mod response;
pub(crate) mod router;

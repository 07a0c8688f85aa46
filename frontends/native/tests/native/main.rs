//! Tests of the API over a real connection.

mod descriptions;
mod faults;
mod inputs;
mod lists;
mod lost;
mod private;
mod reads;
mod requests;
mod streams;
mod support;

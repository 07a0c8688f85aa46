//! Reads the arguments of tools. Pure.

use super::Failed;
use crate::limits::{MAX_OUTPUT, MAX_WAIT, MIN_OUTPUT};
use crate::output::Position;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer};
use serde_json::Value;
use std::time::Duration;

/// Parses the arguments of a tool.
pub(super) fn parse<T: DeserializeOwned>(arguments: Value) -> Result<T, Failed> {
    if !arguments.is_object() {
        return Err(Failed("invalid arguments: expected an object".to_owned()));
    }
    serde_json::from_value(arguments).map_err(|error| Failed(format!("invalid arguments: {error}")))
}

/// A name or a place. Models write a number without quotes now and then.
#[derive(Clone, Debug)]
pub(super) struct Name(pub(super) String);

impl<'de> Deserialize<'de> for Name {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged, expecting = "expected a string")]
        enum Written {
            Text(String),
            Number(u64),
        }
        Ok(Self(match Written::deserialize(deserializer)? {
            Written::Text(text) => text,
            Written::Number(number) => number.to_string(),
        }))
    }
}

/// A place in the output.
pub(super) fn position(name: &Name) -> Result<Position, Failed> {
    name.0.parse().map_err(|_| {
        let place = &name.0;
        Failed(format!(
            "`after` must be the `after` of an earlier answer, or \"0\"; got {place:?}"
        ))
    })
}

/// How long a call waits.
pub(super) fn wait(millis: Option<u64>, default: Duration) -> Duration {
    millis.map_or(default, Duration::from_millis).min(MAX_WAIT)
}

/// How many bytes of output a call wants.
pub(super) fn output_bytes(wanted: Option<u64>, default: usize) -> usize {
    wanted.map_or(default, |wanted| {
        let wanted = usize::try_from(wanted).unwrap_or(MAX_OUTPUT);
        wanted.clamp(MIN_OUTPUT, MAX_OUTPUT)
    })
}

//! Results, encoded once: what the log stores, cursors hand out, and frontends splice.

use rejoin_core::JobId;
use serde_json::{Map, Value};
use std::sync::Arc;

/// Encodes a result: the members, `jobId` and `type`, keys in alphabetical order, no nulls at the
/// top, no spaces.
///
/// ```
/// use rejoin_core::JobId;
/// use rejoin_engine::encode_result;
/// use serde_json::{Map, json};
///
/// let members = Map::from_iter([("content".into(), json!("hi"))]);
/// let result = encode_result(JobId(3), "echo", members);
/// assert_eq!(&*result, r#"{"content":"hi","jobId":3,"type":"echo"}"#);
/// ```
pub fn encode_result(job: JobId, kind: &str, mut members: Map<String, Value>) -> Arc<str> {
    members.retain(|_, value| !value.is_null());
    members.insert("jobId".into(), job.0.into());
    members.insert("type".into(), kind.into());
    Value::Object(members).to_string().into()
}

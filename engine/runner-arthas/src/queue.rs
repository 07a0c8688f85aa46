//! Lets Arthas keep more results for each reader, by Arthas' own `ognl`.

use crate::client::{ArthasClient, ArthasError};
use crate::limits::DEFAULT_QUEUE;

/// How many results Arthas keeps for the readers of the sessions that it makes from now on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Queue {
    pub(crate) results: usize,
    /// What the viewers of the session should know.
    pub(crate) message: Option<String>,
}

/// Sets the queue of a reader to `wanted` results. If that fails, what Arthas does by default is
/// assumed.
pub(crate) async fn raise(client: &ArthasClient, wanted: usize) -> Result<Queue, ArthasError> {
    if wanted == 0 {
        return Ok(Queue {
            results: DEFAULT_QUEUE,
            message: None,
        });
    }
    let response = client.exec(&command(wanted)).await?;
    let previous = response.body.results.iter().find_map(|members| {
        let value: String = serde_json::from_str(members.get("value")?.get()).ok()?;
        let number = value.strip_prefix("@Integer[")?.strip_suffix(']')?;
        number.parse::<usize>().ok()
    });
    Ok(match previous {
        Some(previous) if previous == wanted => Queue {
            results: wanted,
            message: None,
        },
        Some(previous) => Queue {
            results: wanted,
            message: Some(format!(
                "Arthas now keeps up to {wanted} results for each reader (before: {previous})"
            )),
        },
        None => Queue {
            results: DEFAULT_QUEUE,
            message: Some(format!(
                "could not make Arthas keep {wanted} results for each reader; at more than \
                 about {DEFAULT_QUEUE} results a second some may be lost"
            )),
        },
    })
}

/// Sets the size and returns the one before. The class is of the loader that Arthas' agent uses.
fn command(wanted: usize) -> String {
    format!(
        "ognl --classLoaderClass com.taobao.arthas.agent.ArthasClassloader \
         '#queue=@com.taobao.arthas.core.distribution.DistributorOptions@class.getField(\
         \"resultQueueSize\"),#before=#queue.get(null),#queue.set(null,{wanted}),#before'"
    )
}

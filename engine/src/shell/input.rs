//! Writes what clients send to the standard input of a job.

use crate::Input;
use async_process::ChildStdin;
use futures::AsyncWriteExt;

/// Writes to the pipe as fast as the job reads, until the input ends or the job closes its end. Then
/// closes the pipe.
pub(super) async fn feed(mut stdin: ChildStdin, mut input: Input) {
    while let Some(bytes) = input.next().await {
        // A job is free to close its input.
        if let Err(error) = stdin.write_all(&bytes).await {
            tracing::debug!(%error, "a job closed its input");
            return;
        }
    }
}

//! What is written to a job's standard input, on its way into the pipe.

use crate::Input;
use async_process::ChildStdin;
use futures::AsyncWriteExt;

/// Writes what comes, as fast as the job reads it, until the input is ended or nobody reads it any
/// more. Then the pipe is closed.
pub(super) async fn feed(mut stdin: ChildStdin, mut input: Input) {
    while let Some(bytes) = input.next().await {
        // A job need not read: that its input is closed is its own affair.
        if let Err(error) = stdin.write_all(&bytes).await {
            tracing::debug!(%error, "a job reads no more");
            return;
        }
    }
}

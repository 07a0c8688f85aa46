//! axum on tokio, as it comes: a fallback that takes the body and sends the bytes.

use super::{listen, millis};
use crate::Outcome;
use axum::body::Bytes;
use axum::http::header;
use std::path::Path;

pub(super) fn serve(answer: &Path, flags: &[String]) -> Outcome<()> {
    let answer = Bytes::from(std::fs::read(answer)?);
    let wait = millis(flags);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let app = axum::Router::new().fallback(move |_: Bytes| {
            let answer = answer.clone();
            async move {
                if !wait.is_zero() {
                    tokio::time::sleep(wait).await;
                }
                ([(header::CONTENT_TYPE, "application/json")], answer)
            }
        });
        let listener = tokio::net::TcpListener::from_std(listen()?)?;
        println!("listens on http://{}", listener.local_addr()?);
        let listener = axum::serve::ListenerExt::tap_io(listener, |stream| {
            let _ = stream.set_nodelay(true);
        });
        axum::serve(listener, app).await?;
        Ok(())
    })
}

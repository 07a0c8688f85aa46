//! axum on tokio, as it comes: a fallback that takes the body and sends the bytes. A program of its
//! own, so that tokio is no dependency of the harness.

#[path = "../src/contestants/bare.rs"]
mod bare;

use axum::body::Bytes;
use axum::http::header;
use bare::{Told, listen};
use std::error::Error;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let Told { answer, wait } = Told::read(&arguments)?;
    let answer = Bytes::from(answer);
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

//! A minimal server with hyper on smol: one executor per thread, no timers, limits or routing.
//! Request bodies are read and dropped.

use super::bare::{Told, listen};
use crate::Outcome;
use async_io::Async;
use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::rt::ReadBufCursor;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use smol::LocalExecutor;
use std::cell::RefCell;
use std::convert::Infallible;
use std::io::{self, IoSlice, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

pub(super) fn serve(told: &[String]) -> Outcome<()> {
    let Told { answer, wait } = Told::read(told)?;
    let answer = Bytes::from(answer);
    let listener = Async::new(listen()?)?;
    println!("listens on http://{}", listener.get_ref().local_addr()?);
    let mut inboxes = Vec::new();
    for _ in 0..std::thread::available_parallelism()?.get() {
        let (inbox, accepted) = smol::channel::unbounded::<Async<TcpStream>>();
        inboxes.push(inbox);
        let answer = answer.clone();
        std::thread::spawn(move || {
            let executor = LocalExecutor::new();
            async_io::block_on(executor.run(async {
                while let Ok(stream) = accepted.recv().await {
                    executor
                        .spawn(exchange(stream, answer.clone(), wait))
                        .detach();
                }
            }));
        });
    }
    async_io::block_on(async {
        for inbox in inboxes.iter().cycle() {
            let (stream, _) = listener.accept().await?;
            stream.get_ref().set_nodelay(true)?;
            inbox.send(stream).await?;
        }
        Ok(())
    })
}

async fn exchange(stream: Async<TcpStream>, answer: Bytes, wait: Duration) {
    let service = service_fn(|request: hyper::Request<Incoming>| {
        let answer = answer.clone();
        async move {
            let _ = request.into_body().collect().await;
            if !wait.is_zero() {
                async_io::Timer::after(wait).await;
            }
            let mut response = hyper::Response::new(Full::new(answer));
            let json = http::HeaderValue::from_static("application/json");
            response
                .headers_mut()
                .insert(http::header::CONTENT_TYPE, json);
            Ok::<_, Infallible>(response)
        }
    });
    // A broken connection is reported by the load generator.
    let _ = http1::Builder::new()
        .serve_connection(Plain(stream), service)
        .await;
}

struct Plain(Async<TcpStream>);

impl hyper::rt::Read for Plain {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        mut cursor: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        thread_local! {
            static SCRATCH: RefCell<Vec<u8>> = RefCell::new(vec![0; 64 * 1024]);
        }
        SCRATCH.with_borrow_mut(|scratch| {
            let most = cursor.remaining().min(scratch.len());
            loop {
                match self.0.get_ref().read(&mut scratch[..most]) {
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                        ready!(self.0.poll_readable(context))?;
                    }
                    read => {
                        cursor.put_slice(&scratch[..read?]);
                        return Poll::Ready(Ok(()));
                    }
                }
            }
        })
    }
}

impl hyper::rt::Write for Plain {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(context, &[IoSlice::new(bytes)])
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        loop {
            match self.0.get_ref().write_vectored(parts) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    ready!(self.0.poll_writable(context))?;
                }
                written => return Poll::Ready(written),
            }
        }
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(self.0.get_ref().shutdown(Shutdown::Write))
    }
}

//! What tide, the checks and the limits cost: this seam against bare hyper, same bytes, in turn.
//!
//! ```sh
//! cargo run --release -p rejoin-http --example compare
//! ```
//!
//! Bare hyper here is the best it can be on smol: one executor for each thread, the same reading
//! into a thread's buffer, no timers, no limits, no routing; the body is collected and dropped. The
//! load is a POST of a small JSON object answered with 400 bytes on kept connections, sent by two
//! threads of this process, which share the machine with the server. So the ratio of requests per
//! second flatters the slower one; the time that the server's own threads spend on a request
//! doesn't (Linux only).

#![expect(clippy::print_stdout, reason = "a command-line program")]

use async_io::Async;
use http_body_util::{BodyExt, Full};
use hyper::rt::ReadBufCursor;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use rejoin_http::{Answer, Bytes, HostCheck, Limits, Methods, Server, StatusCode};
use smol::LocalExecutor;
use std::cell::RefCell;
use std::convert::Infallible;
use std::io::{self, IoSlice, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, ready};
use std::thread;
use std::time::{Duration, Instant};

const ROUNDS: usize = 25;
const REQUESTS: usize = 20_000;
const CONNECTIONS: [usize; 2] = [32, 256];
const LOADERS: usize = 2;
const IDLE: usize = 2000;
const PATIENCE: Duration = Duration::from_secs(10);
const REQUEST: &str = "POST /api HTTP/1.1\r\nhost: 127.0.0.1:8563\r\nuser-agent: compare\r\n\
    accept: */*\r\ncontent-type: application/json\r\ncontent-length: 50\r\n\r\n\
    {\"action\":\"exec\",\"command\":\"version\",\"x\":\"123456\"}";
static ANSWER: [u8; 400] = [b'x'; 400];

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let threads = Limits::default().threads.get();
    let servers = [
        ("bare hyper", BARE, bare(threads)?),
        ("this seam", SEAM, seam()?),
    ];
    // First, while no memory that the load has freed can be used again.
    println!("an idle connection, after one request, in memory of this process");
    for (label, _, address) in &servers {
        println!("  {label:<11} {:>9.1} KiB", idle(*address)?);
    }
    println!("\n{threads} server threads, {LOADERS} load threads, medians of {ROUNDS} rounds");
    for connections in CONNECTIONS {
        let mut figures = [Vec::new(), Vec::new()];
        for round in 0..=ROUNDS {
            for ((_, name, address), figures) in servers.iter().zip(&mut figures) {
                let figure = measure(*address, name, connections)?;
                // The first round warms up.
                if round > 0 {
                    figures.push(figure);
                }
            }
        }
        let [bare, seam] = &figures;
        // Of each round by itself, since other work on the machine comes and goes.
        let ratios = bare.iter().zip(seam);
        let ratios = ratios.map(|(bare, seam)| (seam.0 / bare.0, bare.1 / seam.1));
        let ratios = median(ratios.collect());
        println!("\n{connections} connections");
        for ((label, ..), figures) in servers.iter().zip(figures) {
            let (rate, cost) = median(figures);
            println!("  {label:<11} {rate:>9.0} /s   {cost:>6.2} µs of its threads each");
        }
        println!("  ratio       {:>9.2}      {:>6.2}", ratios.0, ratios.1);
    }
    Ok(())
}

/// KiB for each of many connections that have asked once and then wait.
fn idle(address: SocketAddr) -> io::Result<f64> {
    let before = resident();
    let mut streams = Vec::new();
    for _ in 0..IDLE {
        let mut stream = TcpStream::connect(address)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.write_all(REQUEST.as_bytes())?;
        receive(&mut stream, &mut [0; 4096])?;
        streams.push(stream);
    }
    Ok((resident() - before) / IDLE as f64)
}

/// This process's memory in KiB; not a number elsewhere than on Linux.
fn resident() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|line| line.trim().trim_end_matches(" kB").parse().ok())
        .unwrap_or(f64::NAN)
}

/// Requests per second, and microseconds of the server's threads for each.
type Figure = (f64, f64);

fn median(mut figures: Vec<Figure>) -> Figure {
    let mut middle = |by: fn(&Figure) -> f64| {
        figures.sort_by(|a, b| by(a).total_cmp(&by(b)));
        figures.get(figures.len() / 2).map_or(f64::NAN, by)
    };
    (middle(|figure| figure.0), middle(|figure| figure.1))
}

#[expect(
    clippy::disallowed_methods,
    reason = "measuring time is what this is for"
)]
fn measure(address: SocketAddr, threads: &str, connections: usize) -> io::Result<Figure> {
    let mut loaders = Vec::new();
    for _ in 0..LOADERS {
        let streams: io::Result<Vec<_>> = (0..connections / LOADERS)
            .map(|_| {
                let stream = TcpStream::connect(address)?;
                stream.set_nodelay(true)?;
                stream.set_read_timeout(Some(PATIENCE))?;
                Ok(stream)
            })
            .collect();
        loaders.push(streams?);
    }
    let (began, spent) = (Instant::now(), time_of(threads));
    let loading = loaders
        .into_iter()
        .map(|streams| thread::spawn(move || load(streams)));
    let loading: Vec<_> = loading.collect();
    let mut answered = 0;
    for loader in loading {
        answered += loader
            .join()
            .map_err(|_| io::Error::other("a loader panicked"))??;
    }
    let (took, spent) = (began.elapsed(), time_of(threads) - spent);
    let answered = answered as f64;
    Ok((answered / took.as_secs_f64(), spent * 1e6 / answered))
}

/// Asks on all connections, then reads all answers, until enough are answered.
fn load(mut streams: Vec<TcpStream>) -> io::Result<usize> {
    let mut buffer = [0; 4096];
    let mut answered = 0;
    while answered < REQUESTS / LOADERS {
        for stream in &mut streams {
            stream.write_all(REQUEST.as_bytes())?;
        }
        for stream in &mut streams {
            receive(stream, &mut buffer)?;
            answered += 1;
        }
    }
    Ok(answered)
}

fn receive(stream: &mut TcpStream, buffer: &mut [u8]) -> io::Result<()> {
    let mut read = 0;
    while !buffer
        .get(..read)
        .is_some_and(|answer| answer.ends_with(&ANSWER))
    {
        let more = stream.read(buffer.get_mut(read..).unwrap_or_default())?;
        if more == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        read += more;
    }
    Ok(())
}

/// Seconds that this process's threads of that name have run for so far; not a number elsewhere
/// than on Linux.
fn time_of(threads: &str) -> f64 {
    let Ok(tasks) = std::fs::read_dir("/proc/self/task") else {
        return f64::NAN;
    };
    let mut nanoseconds = 0.0;
    for task in tasks.flatten().map(|task| task.path()) {
        let name = std::fs::read_to_string(task.join("comm")).unwrap_or_default();
        if name.starts_with(threads) {
            let times = std::fs::read_to_string(task.join("schedstat")).unwrap_or_default();
            let running = times.split(' ').next().unwrap_or_default();
            nanoseconds += running.parse().unwrap_or(f64::NAN);
        }
    }
    nanoseconds / 1e9
}

fn seam() -> Result<SocketAddr, Box<dyn std::error::Error>> {
    let mut app = rejoin_http::app();
    app.at("/api").all(
        Methods::new().post(|request: tide::Request<()>| async move {
            let _ = rejoin_http::body(&request);
            let body = Bytes::from_static(&ANSWER);
            Ok(Answer::new(StatusCode::OK, "application/json", body))
        }),
    );
    let address = (Ipv4Addr::LOCALHOST, 0).into();
    let server = Server::bind(address, app, Limits::default(), HostCheck::local())?;
    let address = server.local_addr();
    thread::spawn(move || smol::block_on(server.run(std::future::pending())));
    Ok(address)
}

/// The names of the server's threads, as far as the kernel keeps them.
const SEAM: &str = "rejoin-http-";
const BARE: &str = "bare-hyper-";

fn bare(threads: usize) -> io::Result<SocketAddr> {
    let listener = Async::<TcpListener>::bind((Ipv4Addr::LOCALHOST, 0))?;
    let address = listener.get_ref().local_addr()?;
    let mut inboxes = Vec::new();
    for number in 0..threads {
        let (inbox, accepted) = smol::channel::unbounded::<Async<TcpStream>>();
        inboxes.push(inbox);
        thread::Builder::new()
            .name(format!("{BARE}{number}"))
            .spawn(move || {
                let executor = LocalExecutor::new();
                async_io::block_on(executor.run(async {
                    while let Ok(stream) = accepted.recv().await {
                        executor.spawn(serve_bare(stream)).detach();
                    }
                }));
            })?;
    }
    thread::spawn(move || {
        let next = Arc::new(AtomicUsize::new(0));
        async_io::block_on(async {
            while let Ok((stream, _)) = listener.accept().await {
                let turn = next.fetch_add(1, Ordering::Relaxed) % inboxes.len();
                if let (Some(inbox), Ok(())) =
                    (inboxes.get(turn), stream.get_ref().set_nodelay(true))
                {
                    let _ = inbox.send(stream).await;
                }
            }
        });
    });
    Ok(address)
}

async fn serve_bare(stream: Async<TcpStream>) {
    let service = service_fn(
        |request: hyper::Request<hyper::body::Incoming>| async move {
            let _ = request.into_body().collect().await;
            let mut response = hyper::Response::new(Full::new(Bytes::from_static(&ANSWER)));
            let json = http::HeaderValue::from_static("application/json");
            response
                .headers_mut()
                .insert(http::header::CONTENT_TYPE, json);
            Ok::<_, Infallible>(response)
        },
    );
    // A connection that breaks shows in the load.
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
            let scratch = scratch.get_mut(..most).unwrap_or_default();
            loop {
                match self.0.get_ref().read(scratch) {
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                        ready!(self.0.poll_readable(context))?;
                    }
                    read => {
                        cursor.put_slice(scratch.get(..read?).unwrap_or_default());
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

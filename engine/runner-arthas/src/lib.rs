//! A runner for Rejoin that runs the commands of a session in a real
//! [Arthas](https://arthas.aliyun.com), through its HTTP API.
//!
//! A session of Rejoin has one session in Arthas, made for its first command; each command in the
//! background has another. While a command runs, the runner pulls its results as fast as they come
//! and reports them unchanged, but for `jobId`, which becomes the job of Rejoin; the number in Arthas
//! is added as `upstreamJobId`. So viewers of Rejoin read from its log, however slowly, and cost the
//! JVM nothing.
//!
//! Arthas drops the oldest results of a reader that is too slow, and does not say so. Before it makes
//! a session, the runner therefore lets Arthas keep more of them ([`ArthasOptions::queue`]). Where
//! results may be missing all the same, a result of the type `upstream_gap` says so.
//!
//! ```no_run
//! use rejoin_engine::Engine;
//! use rejoin_runner_arthas::{ArthasOptions, ArthasRunner};
//!
//! # smol::block_on(async {
//! let orders = ArthasRunner::new(ArthasOptions::new("http://127.0.0.1:8563")?);
//! let engine = Engine::in_memory().service("orders", orders).open().await?;
//! let session = engine.create_session("orders").await?;
//! session.run("watch demo.MathGame primeFactors -n 3").await?;
//! # Ok::<_, Box<dyn std::error::Error>>(())
//! # }).unwrap();
//! ```

mod client;
pub mod limits;
mod options;
mod queue;
mod results;
mod runner;
mod sessions;
mod unclosed;

pub use options::{ArthasCredentials, ArthasOptions, OptionsError};
pub use runner::ArthasRunner;

//! `rejoin health`: asks a running server how it is, for containers, which have no other client.

use clap::Args;
use std::io::{self, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;
use ureq::Agent;
use ureq::http::StatusCode;
use ureq::tls::TlsConfig;

/// Ask a running server whether it is well.
///
/// Prints what the server says. With --ready, asks whether it takes commands, which it does not
/// while it ends.
#[derive(Debug, Args)]
#[command(after_long_help = STATUS)]
pub(crate) struct HealthArgs {
    /// Where the server answers: its own address for health, else the common one. One that stands
    /// for all addresses of a machine is asked at its loopback address [default: 127.0.0.1:8563]
    #[arg(long, value_name = "ADDR:PORT", env = "REJOIN_OPERATE_LISTEN")]
    at: Option<SocketAddr>,

    /// Ask whether it takes commands
    #[arg(long)]
    ready: bool,
}

const STATUS: &str = "\
Exit status:
  0  it is
  1  it is not, or does not answer within 5 seconds
  2  the command line is wrong

Example:
  rejoin health --at 127.0.0.1:9563 --ready
";

/// How long the server may take to answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// Bytes of an answer that are read at most.
const ANSWER_BYTES: u64 = 64 * 1024;

/// Why nobody knows how it is.
#[derive(Debug, thiserror::Error)]
pub(crate) enum HealthError {
    /// The server does not answer.
    #[error("no answer from {0}: {1}")]
    Silent(SocketAddr, String),
    /// Nobody could be told.
    #[error("cannot write the answer: {0}")]
    Write(#[from] io::Error),
}

pub(crate) fn run(args: &HealthArgs) -> Result<ExitCode, HealthError> {
    let common = SocketAddr::from((Ipv4Addr::LOCALHOST, 8563));
    let address = reachable(args.at.unwrap_or(common));
    let path = if args.ready { "/readyz" } else { "/healthz" };
    let ask = |scheme| {
        let answer = ask(&format!("{scheme}://{address}{path}"));
        answer.map_err(|error| {
            let why = match error {
                ureq::Error::Io(error) => error.to_string(),
                error => error.to_string(),
            };
            HealthError::Silent(address, why)
        })
    };
    let (mut status, mut body) = ask("http")?;
    // What an address says that is encrypted.
    if status == StatusCode::BAD_REQUEST {
        (status, body) = ask("https")?;
    }
    io::stdout().write_all(&body)?;
    Ok(match status {
        StatusCode::OK => ExitCode::SUCCESS,
        _ => ExitCode::FAILURE,
    })
}

fn ask(url: &str) -> Result<(StatusCode, Vec<u8>), ureq::Error> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let tls = TlsConfig::builder()
        .unversioned_rustls_crypto_provider(provider)
        // It is asked by its address, which is not what it is called; and nothing is said to it.
        .disable_verification(true)
        .build();
    let agent: Agent = Agent::config_builder()
        .http_status_as_error(false)
        .max_redirects(0)
        .max_redirects_will_error(false)
        .proxy(None)
        .timeout_global(Some(PATIENCE))
        .tls_config(tls)
        .build()
        .into();
    let answer = agent.get(url).call()?;
    let status = answer.status();
    let body = answer.into_body().into_with_config().limit(ANSWER_BYTES);
    Ok((status, body.read_to_vec()?))
}

/// Where a server is found that listens at an address, which may stand for all of a machine's.
fn reachable(mut address: SocketAddr) -> SocketAddr {
    match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => address.set_ip(Ipv4Addr::LOCALHOST.into()),
        IpAddr::V6(ip) if ip.is_unspecified() => address.set_ip(Ipv6Addr::LOCALHOST.into()),
        _ => {}
    }
    address
}

//! `rejoin health`: a health check for containers without an HTTP client.

use crate::client::unix;
use crate::settings::{Address, SettingsError, old_admin_listen};
use clap::Args;
use std::io::{self, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;
use ureq::Agent;
use ureq::http::StatusCode;
use ureq::tls::TlsConfig;

/// Check whether a server is healthy.
///
/// Prints the server's answer. With --ready, checks whether the server accepts commands; it doesn't
/// while it shuts down.
#[derive(Debug, Args)]
#[command(after_long_help = STATUS)]
pub(crate) struct HealthArgs {
    /// Address of the server: its --admin-listen, or else its --listen. For 0.0.0.0 and `[::]` the
    /// loopback address is used [default: 127.0.0.1:8563]
    #[arg(long, value_name = "ADDRESS:PORT", env = "REJOIN_ADMIN_LISTEN")]
    at: Option<Address>,

    /// Check whether the server accepts commands
    #[arg(long)]
    ready: bool,
}

const STATUS: &str = "\
Exit status:
  0  healthy, or ready with --ready
  1  not healthy or not ready, or no answer within 5 seconds
  2  wrong command line

Example:
  rejoin health --at 127.0.0.1:9563 --ready
";

/// How long to wait for the answer.
const TIMEOUT: Duration = Duration::from_secs(5);

/// The longest answer that is read.
const ANSWER_BYTES: u64 = 64 * 1024;

/// Why the check failed without an answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum HealthError {
    /// The server does not answer.
    #[error(transparent)]
    Settings(#[from] SettingsError),
    #[error("no answer from {0}: {1}")]
    Silent(Address, String),
    /// Standard output could not be written.
    #[error("cannot write the answer: {0}")]
    Write(#[from] io::Error),
}

pub(crate) fn run(args: &HealthArgs) -> Result<ExitCode, HealthError> {
    let common = Address::Tcp((Ipv4Addr::LOCALHOST, 8563).into());
    let at = match &args.at {
        Some(at) => Some(at.clone()),
        None => old_admin_listen()?,
    };
    let address = reachable(at.unwrap_or(common));
    let path = if args.ready { "/readyz" } else { "/healthz" };
    let ask = |scheme| {
        let (host, socket) = match &address {
            Address::Tcp(address) => (address.to_string(), None),
            Address::Unix(path) => (Ipv4Addr::LOCALHOST.to_string(), Some(&**path)),
        };
        let answer = ask(&format!("{scheme}://{host}{path}"), socket);
        answer.map_err(|error| {
            let why = match error {
                ureq::Error::Io(error) => error.to_string(),
                error => error.to_string(),
            };
            HealthError::Silent(address.clone(), why)
        })
    };
    let (mut status, mut body) = ask("http")?;
    // An address with TLS answers so to unencrypted requests.
    if status == StatusCode::BAD_REQUEST {
        (status, body) = ask("https")?;
    }
    io::stdout().write_all(&body)?;
    Ok(match status {
        StatusCode::OK => ExitCode::SUCCESS,
        _ => ExitCode::FAILURE,
    })
}

fn ask(url: &str, socket: Option<&Path>) -> Result<(StatusCode, Vec<u8>), ureq::Error> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let tls = TlsConfig::builder()
        .unversioned_rustls_crypto_provider(provider)
        // It is called by its address, which its certificate need not name; no secret is sent.
        .disable_verification(true)
        .build();
    let config = Agent::config_builder()
        .http_status_as_error(false)
        .max_redirects(0)
        .max_redirects_will_error(false)
        .proxy(None)
        .timeout_global(Some(TIMEOUT))
        .tls_config(tls)
        .build();
    let agent: Agent = match socket {
        Some(socket) => unix::agent(config, socket),
        None => config.into(),
    };
    let answer = agent.get(url).call()?;
    let status = answer.status();
    let body = answer.into_body().into_with_config().limit(ANSWER_BYTES);
    Ok((status, body.read_to_vec()?))
}

/// The address to connect to for a server that listens on `address`, which may be unspecified.
fn reachable(mut address: Address) -> Address {
    if let Address::Tcp(address) = &mut address {
        match address.ip() {
            IpAddr::V4(ip) if ip.is_unspecified() => address.set_ip(Ipv4Addr::LOCALHOST.into()),
            IpAddr::V6(ip) if ip.is_unspecified() => address.set_ip(Ipv6Addr::LOCALHOST.into()),
            _ => {}
        }
    }
    address
}

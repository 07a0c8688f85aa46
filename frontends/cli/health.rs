//! `rejoin health`: asks a running server how it is, for containers, which have no other client.

use clap::Args;
use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::process::ExitCode;
use std::time::Duration;

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

/// How long the server may take to connect, and then for each part of its answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// Bytes of an answer that are read at most.
const ANSWER_BYTES: u64 = 64 * 1024;

pub(crate) fn run(args: &HealthArgs) -> io::Result<ExitCode> {
    let common = SocketAddr::from((Ipv4Addr::LOCALHOST, 8563));
    let path = if args.ready { "/readyz" } else { "/healthz" };
    let answer = ask(reachable(args.at.unwrap_or(common)), path)?;
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    io::stdout().write_all(body.as_bytes())?;
    Ok(match head.split(' ').nth(1) {
        Some("200") => ExitCode::SUCCESS,
        _ => ExitCode::FAILURE,
    })
}

fn ask(address: SocketAddr, path: &str) -> io::Result<String> {
    let mut stream = TcpStream::connect_timeout(&address, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    write!(
        stream,
        "GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n"
    )?;
    let mut answer = String::new();
    stream.take(ANSWER_BYTES).read_to_string(&mut answer)?;
    Ok(answer)
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

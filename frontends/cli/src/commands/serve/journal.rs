//! Log lines as entries of systemd's journal, each field of a line a field of the entry, so that
//! `journalctl REJOIN_ACCOUNT=ada` finds what an account did.
//!
//! Follows <https://systemd.io/JOURNAL_NATIVE_PROTOCOL/>. The crate tracing-journald writes from the
//! thread that logs, which would then wait for a journal that is stopped.

use std::fmt::{self, Debug, Write as _};
use std::io::{self, Write};
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

/// Where systemd's journal listens.
const SOCKET: &str = "/run/systemd/journal/socket";

/// Sends each line that is written to the journal, as one entry.
#[derive(Debug)]
pub(super) struct Journal(UnixDatagram);

impl Journal {
    /// # Errors
    ///
    /// When no journal listens on this machine.
    pub(super) fn connect() -> io::Result<Self> {
        let named = |error: io::Error| {
            let error = format!("--log-format journald: there is no journal at {SOCKET}: {error}");
            io::Error::other(error)
        };
        UnixDatagram::unbound()
            .and_then(|socket| socket.connect(Path::new(SOCKET)))
            .map_err(named)?;
        // Not connected: a journal that was started anew may listen on a new socket.
        UnixDatagram::unbound().map(Self)
    }
}

impl Write for Journal {
    fn write(&mut self, entry: &[u8]) -> io::Result<usize> {
        self.0.send_to(entry, SOCKET)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Formats events as entries of the journal.
#[derive(Debug)]
pub(super) struct JournalEntries;

impl<S, N> FormatEvent<S, N> for JournalEntries
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        _: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let mut entry = Entry::default();
        event.record(&mut entry);
        let metadata = event.metadata();
        let priority = match *metadata.level() {
            Level::ERROR => 3,
            Level::WARN => 4,
            Level::INFO => 6,
            Level::DEBUG | Level::TRACE => 7,
        };
        let target = metadata.target();
        writeln!(writer, "MESSAGE={}{}", entry.message, entry.text)?;
        writeln!(writer, "PRIORITY={priority}\nSYSLOG_IDENTIFIER=rejoin")?;
        writeln!(writer, "REJOIN_TARGET={target}")?;
        writer.write_str(&entry.fields)
    }
}

/// The parts of an entry.
#[derive(Default)]
struct Entry {
    message: String,
    /// The fields as people read them behind the message, each with a space before it.
    text: String,
    /// The fields as the journal takes them, each a line.
    fields: String,
}

impl Visit for Entry {
    fn record_str(&mut self, field: &Field, value: &str) {
        // A value ends where its line does.
        let value: String = value
            .chars()
            .flat_map(|it| match it.is_control() {
                true => it.escape_default().collect::<Vec<_>>(),
                false => vec![it],
            })
            .collect();
        if field.name() == "message" {
            self.message = value;
            return;
        }
        let name: String = field
            .name()
            .chars()
            .map(|it| match it.is_ascii_alphanumeric() {
                true => it.to_ascii_uppercase(),
                false => '_',
            })
            .collect();
        // Writing to a String does not fail.
        let _ = write!(self.text, " {}={value}", field.name());
        let _ = writeln!(self.fields, "REJOIN_{name}={value}");
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.record_str(field, &format!("{value:?}"));
    }
}

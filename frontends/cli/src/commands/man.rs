//! `rejoin completions` and `rejoin man`: completion scripts and manual pages, generated from `args`.

use crate::args::{Args, ManArgs};
use clap::{Command, CommandFactory};
use clap_complete::Shell;
use clap_mangen::Man;
use std::io::{self, Write};
use std::path::Path;

/// Why a page or script was not written.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ManualError {
    /// There is no such subcommand.
    #[error("unknown subcommand {0}: see `rejoin --help`")]
    NoSuchCommand(String),
    /// A page could not be written.
    #[error("cannot write {0}")]
    Write(String, #[source] io::Error),
}

/// Writes the completions for a shell to standard output.
pub(crate) fn completions(shell: Shell) -> Result<(), ManualError> {
    let mut script = vec![];
    clap_complete::generate(shell, &mut Args::command(), "rejoin", &mut script);
    print(&script)
}

/// Writes one page to standard output, or all into a directory.
pub(crate) fn pages(args: &ManArgs) -> Result<(), ManualError> {
    let program = program();
    if let Some(directory) = &args.directory {
        return all(&program, directory);
    }
    let mut page = &program;
    for name in &args.command {
        let mut commands = page.get_subcommands();
        page = commands
            .find(|command| command.get_name() == name)
            .ok_or_else(|| ManualError::NoSuchCommand(args.command.join(" ")))?;
    }
    print(&rendered(page.clone()).map_err(|error| unwritten("the page", error))?)
}

/// The program, with the full names of its subcommands (`rejoin-user-add`) for their pages.
fn program() -> Command {
    let mut program = Args::command().disable_help_subcommand(true);
    program.build();
    program
}

fn all(program: &Command, directory: &Path) -> Result<(), ManualError> {
    let shown = directory.display().to_string();
    std::fs::create_dir_all(directory).map_err(|error| unwritten(&shown, error))?;
    write_all(program, directory)
}

/// Writes the page of a command, and those of its subcommands.
fn write_all(page: &Command, directory: &Path) -> Result<(), ManualError> {
    let name = page.get_display_name().unwrap_or_else(|| page.get_name());
    let file = directory.join(format!("{name}.1"));
    rendered(page.clone())
        .and_then(|rendered| std::fs::write(&file, rendered))
        .map_err(|error| unwritten(&file.display().to_string(), error))?;
    page.get_subcommands()
        .try_for_each(|command| write_all(command, directory))
}

fn rendered(page: Command) -> io::Result<Vec<u8>> {
    let mut rendered = vec![];
    Man::new(page)
        .source(concat!("rejoin ", env!("CARGO_PKG_VERSION")))
        .manual("Rejoin")
        .render(&mut rendered)?;
    // The text after the options is preformatted: exit statuses and examples.
    let rendered = String::from_utf8_lossy(&rendered);
    Ok(rendered
        .replace(".SH EXTRA\n", ".SH NOTES\n.nf\n")
        .into_bytes())
}

fn print(bytes: &[u8]) -> Result<(), ManualError> {
    match io::stdout().write_all(bytes) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(unwritten("standard output", error))
        }
        _ => Ok(()),
    }
}

fn unwritten(what: &str, error: io::Error) -> ManualError {
    ManualError::Write(what.to_owned(), error)
}

//! Runs the commands of a page: a `bash` in a new directory, with `rejoin` in its `PATH`, and with
//! free ports in place of the usual ones.

use super::page::Page;
use super::shown;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;
use tempfile::TempDir;

/// Much longer than any command of a page takes.
const PATIENCE: Duration = Duration::from_secs(120);

/// Printed by the shell when a command has ended. Does not occur on any page.
const ENDED: &str = "\u{1}ended\u{1}";

pub(super) struct Terminal {
    directory: TempDir,
    shell: Child,
    typed: Option<ChildStdin>,
    printed: Receiver<String>,
    ports: Vec<(&'static str, String)>,
}

impl Terminal {
    /// `usual` are the ports on the page. This terminal replaces them by free ones.
    pub(super) fn open(usual: &[&'static str]) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let (home, bin) = (
            directory.path().join("rejoin"),
            directory.path().join("bin"),
        );
        std::fs::create_dir(&home).unwrap();
        std::fs::create_dir(&bin).unwrap();
        let binary = Path::new(env!("CARGO_BIN_EXE_rejoin"));
        std::os::unix::fs::symlink(binary, bin.join("rejoin")).unwrap();
        // Pages may use `cargo run`: this stub starts the binary under test instead.
        script(
            &bin.join("cargo"),
            "[ \"$1 $2 $3\" = 'run --release --' ] || { echo \"cargo $*?\"; exit 1; }\n\
             shift 3; exec rejoin \"$@\"\n",
        );
        let listeners: Vec<_> = usual
            .iter()
            .map(|port| (*port, TcpListener::bind("127.0.0.1:0").unwrap()))
            .collect();
        let ports: Vec<_> = listeners
            .iter()
            .map(|(port, listener)| (*port, listener.local_addr().unwrap().port().to_string()))
            .collect();
        drop(listeners);
        let log = std::fs::File::create(directory.path().join("log")).unwrap();
        let mut command = Command::new("bash");
        for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("REJOIN_")) {
            command.env_remove(name);
        }
        let path = format!("{}:{}", bin.display(), std::env::var("PATH").unwrap());
        let mut shell = command
            .args(["--noprofile", "--norc"])
            .current_dir(&home)
            .env("PATH", path)
            .env("LC_ALL", "C.UTF-8")
            .env("REJOIN_LISTEN", format!("127.0.0.1:{}", ports[0].1))
            .env("REJOIN_SERVER", format!("http://127.0.0.1:{}", ports[0].1))
            .env("XDG_CONFIG_HOME", directory.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(log)
            .process_group(0)
            .spawn()
            .expect("bash can be started (needs bash and curl; .ci/run installs them)");
        let (sender, printed) = channel();
        let mut out = shell.stdout.take().unwrap();
        std::thread::spawn(move || {
            let mut bytes = [0; 65536];
            while let Ok(count @ 1..) = out.read(&mut bytes) {
                let text = String::from_utf8_lossy(&bytes[..count]).into_owned();
                if sender.send(text).is_err() {
                    break;
                }
            }
        });
        let typed = shell.stdin.take();
        let mut terminal = Self {
            directory,
            shell,
            typed,
            printed,
            ports,
        };
        // Background processes end with the shell.
        terminal.type_in("trap 'kill $(jobs -p) 2>/dev/null; wait' EXIT\n");
        terminal
    }

    /// Runs all commands of a page.
    ///
    /// # Panics
    ///
    /// As [`run`](Self::run).
    pub(super) fn run_page(&mut self, page: &Page) {
        for block in page.blocks.iter().filter(|block| block.ignored.is_none()) {
            assert!(
                !block.commands.is_empty(),
                "{}, line {}: a console block without a command",
                page.name,
                block.line
            );
            for command in &block.commands {
                let place = format!("{}, line {}", page.name, command.line);
                self.run(&place, &command.typed, &command.shown);
            }
        }
    }

    /// Runs a command until it ends or, with `&`, until it has printed the output shown.
    ///
    /// # Panics
    ///
    /// If it prints something else or does not end.
    fn run(&mut self, place: &str, typed: &str, shown: &[String]) {
        let file = self.directory.path().join("typed");
        std::fs::write(&file, self.ports_taken(typed)).unwrap();
        let is_beside = typed.trim_end().ends_with('&');
        // Standard error of a server may appear at any time.
        let errors = if is_beside { "" } else { "2>&1" };
        self.type_in(&format!(
            "eval \"$(cat {})\" </dev/null {errors}\nprintf '{ENDED}'\n",
            file.display()
        ));
        let mut printed = String::new();
        loop {
            let has_ended = printed.contains(ENDED);
            let said = self.usual(&printed.replace(ENDED, ""));
            let lines: Vec<_> = said.lines().collect();
            let matches = shown::matches(shown, &lines);
            if has_ended && (matches || !is_beside) {
                assert!(
                    matches,
                    "{place}: $ {typed}\nexpected output:\n{}\nactual output:\n{said}\n{}",
                    shown.join("\n"),
                    self.errors()
                );
                return;
            }
            let more = self.printed.recv_timeout(PATIENCE);
            printed += &more.unwrap_or_else(|why| {
                let errors = self.errors();
                panic!("{place}: $ {typed}\n{why}; output so far:\n{said}\n{errors}")
            });
        }
    }

    fn type_in(&mut self, text: &str) {
        let typed = self.typed.as_mut().unwrap();
        typed.write_all(text.as_bytes()).unwrap();
        typed.flush().unwrap();
    }

    /// Replaces the usual ports by the ports of this terminal.
    fn ports_taken(&self, text: &str) -> String {
        self.ports
            .iter()
            .fold(text.to_owned(), |text, (usual, taken)| {
                text.replace(&format!(":{usual}"), &format!(":{taken}"))
            })
    }

    /// Replaces the ports of this terminal by the usual ones.
    fn usual(&self, text: &str) -> String {
        self.ports
            .iter()
            .fold(text.to_owned(), |text, (usual, taken)| {
                text.replace(&format!(":{taken}"), &format!(":{usual}"))
            })
    }

    fn errors(&self) -> String {
        std::fs::read_to_string(self.directory.path().join("log")).unwrap_or_default()
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        // Closing its input ends the shell and its background processes.
        drop(self.typed.take());
        let _ = self.shell.wait();
    }
}

fn script(file: &Path, text: &str) {
    use std::os::unix::fs::PermissionsExt;
    std::fs::write(file, format!("#!/bin/sh\n{text}")).unwrap();
    std::fs::set_permissions(file, std::fs::Permissions::from_mode(0o755)).unwrap();
}

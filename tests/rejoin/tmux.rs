//! A person at a terminal: a pane of tmux, whose keys are typed and whose screen is read.

use crate::server::Server;
use rejoin_screen::{Cell, Screen};
use std::path::Path;
use std::process::{Command, Output};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// How long something may take to be shown: longer than it does on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// A pane with a shell, in which `rejoin` is the binary under test.
pub(crate) struct Pane {
    directory: TempDir,
    size: (u16, u16),
}

impl Pane {
    /// A pane of this size, whose `rejoin` uses this server.
    pub(crate) fn open(server: &Server, size: (u16, u16)) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let bin = directory.path().join("bin");
        std::fs::create_dir(&bin).unwrap();
        std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_rejoin"), bin.join("rejoin")).unwrap();
        std::fs::write(
            directory.path().join("conf"),
            "set -g status off\nset -g escape-time 0\nset -g default-terminal tmux-256color\n\
             set -g remain-on-exit on\n",
        )
        .unwrap();
        let pane = Self { directory, size };
        let (columns, rows) = (size.0.to_string(), size.1.to_string());
        // Not tmux's own variables of a session: the first pane doesn't get them.
        let shell = format!(
            "exec env --default-signal=INT,QUIT 'PS1=here> ' PATH={}:\"$PATH\" LC_ALL=C.UTF-8 \
             REJOIN_SERVER=http://{} XDG_CONFIG_HOME=/nonexistent SHELL=/bin/sh sh",
            bin.display(),
            server.address
        );
        pane.tmux(&["new-session", "-d", "-x", &columns, "-y", &rows, &shell]);
        pane.wait_for_prompt();
        pane
    }

    /// A directory that is its own.
    pub(crate) fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// Types these keys: tmux's names of keys, or text.
    pub(crate) fn keys(&self, keys: &[&str]) {
        let mut arguments = vec!["send-keys", "--"];
        arguments.extend(keys);
        self.tmux(&arguments);
    }

    /// Types a line.
    pub(crate) fn line(&self, line: &str) {
        self.tmux(&["send-keys", "-l", "--", line]);
        self.keys(&["Enter"]);
    }

    /// Leaves with the keys for it, and waits for the shell's prompt.
    pub(crate) fn detach(&self) {
        self.keys(&["C-\\", "d"]);
        self.wait_for("rejoin: left job");
        self.wait_for_prompt();
    }

    /// Waits until the shell here waits for a command.
    pub(crate) fn wait_for_prompt(&self) {
        self.wait_until("the shell's prompt", |shown| {
            shown.trim_end().ends_with("here>")
        });
    }

    /// Gives the pane another size.
    pub(crate) fn resize(&mut self, (columns, rows): (u16, u16)) {
        self.size = (columns, rows);
        let (columns, rows) = (columns.to_string(), rows.to_string());
        self.tmux(&["resize-window", "-x", &columns, "-y", &rows]);
    }

    /// Keeps what its programs write from now on, byte for byte, in a file.
    pub(crate) fn record(&self, file: &Path) {
        self.tmux(&["pipe-pane", "-O", &format!("cat > '{}'", file.display())]);
    }

    /// What it shows.
    pub(crate) fn text(&self) -> String {
        self.tmux(&["capture-pane", "-p"])
    }

    /// What it shows, with colours.
    pub(crate) fn cells(&self) -> Vec<Vec<Cell>> {
        let captured = self.tmux(&["capture-pane", "-p", "-e", "-N"]);
        let mut screen = Screen::new(self.size.0, self.size.1);
        let lines: Vec<_> = captured.lines().collect();
        screen.feed(lines.join("\r\n").as_bytes());
        cells(&screen)
    }

    /// A format of tmux: `#{alternate_on}` and the like.
    pub(crate) fn is(&self, format: &str) -> String {
        self.tmux(&["display-message", "-p", format])
            .trim()
            .to_owned()
    }

    /// Waits until these words are shown.
    pub(crate) fn wait_for(&self, words: &str) {
        self.wait_until(words, |shown| shown.contains(words));
    }

    /// Waits until what is shown is as wanted.
    #[expect(
        clippy::disallowed_methods,
        reason = "a real terminal is waited for, with a deadline"
    )]
    pub(crate) fn wait_until(&self, what: &str, is_so: impl Fn(&str) -> bool) {
        let begun = Instant::now();
        loop {
            let shown = self.text();
            if is_so(&shown) {
                return;
            }
            assert!(begun.elapsed() < PATIENCE, "not seen: {what}\n{shown}");
            std::thread::sleep(Duration::from_millis(30));
        }
    }

    fn tmux(&self, arguments: &[&str]) -> String {
        let done = self.tried(arguments);
        let err = String::from_utf8_lossy(&done.stderr);
        assert!(done.status.success(), "tmux {arguments:?}: {err}");
        String::from_utf8(done.stdout).unwrap()
    }

    fn tried(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new("tmux");
        for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("REJOIN_")) {
            command.env_remove(name);
        }
        let directory = self.directory.path();
        command
            .arg("-S")
            .arg(directory.join("socket"))
            .arg("-f")
            .arg(directory.join("conf"))
            .args(arguments)
            .env("LC_ALL", "C.UTF-8")
            .env_remove("TMUX")
            .output()
            .expect("tmux can be started (.ci/run installs it)")
    }
}

impl Drop for Pane {
    fn drop(&mut self) {
        let _ = self.tried(&["kill-server"]);
    }
}

/// The cells of a screen, without blank ones at the ends of lines.
pub(crate) fn cells(screen: &Screen) -> Vec<Vec<Cell>> {
    let lines = screen.lines().map(|line| {
        let mut cells = line.cells().to_vec();
        while cells
            .last()
            .is_some_and(|it| it.char() == ' ' && it.pen().is_default())
        {
            cells.pop();
        }
        cells
    });
    lines.collect()
}

//! kill -9 under load, again and again, and what all clients got held against the log.
//!
//! Twenty kills in an ordinary run; `REJOIN_KILLS=1000 cargo test --release --test rejoin crashes`
//! is the long one. It prints its figure.

mod load;
mod log;

use crate::server::{Server, directory, rejoin};
use load::{Load, Track};
use log::Written;
use std::io::Write;
use std::path::Path;
use std::thread::sleep;
use std::time::Duration;

/// The number of kills that each log lives for, so that checking all of it stays cheap.
const KILLS_OF_A_LOG: u64 = 50;

/// The numbers that choose when and what, the same in every run.
struct Draw(u64);

impl Draw {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005);
        self.0 = self.0.wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % bound
    }
}

/// What a run amounts to.
#[derive(Default)]
struct Figure {
    kills: u64,
    answers: u64,
    results: u64,
    records: u64,
    torn: u64,
}

#[test]
fn nothing_acknowledged_is_lost_reordered_or_doubled_however_often_the_server_is_killed() {
    let wanted = std::env::var("REJOIN_KILLS").map_or(20, |kills| kills.parse().unwrap());
    let mut figure = Figure::default();
    let mut draw = Draw(1);
    while figure.kills < wanted {
        let kills = KILLS_OF_A_LOG.min(wanted - figure.kills);
        one_log(kills, &mut draw, &mut figure);
    }
    let Figure {
        kills,
        answers,
        results,
        records,
        torn,
    } = figure;
    // Not through the test's captured output: the figure is what the long run is for.
    let _ = writeln!(
        std::io::stdout(),
        "{kills} kills: {answers} answers and {results} results held against {records} records; \
         {torn} torn ends; nothing acknowledged was lost, reordered or doubled"
    );
    assert!(answers > kills && results > kills, "there was no load");
}

/// One log, from its first record on, killed several times and then ended cleanly.
fn one_log(kills: u64, draw: &mut Draw, figure: &mut Figure) {
    let data = directory();
    let mut written = Written::default();
    let mut tracks: Vec<Track> = vec![];
    for kill in 0..kills {
        if kill % 8 == 5 {
            kill_while_starting(data.path(), Duration::from_micros(draw.below(40_000)));
        } else {
            let mut server = Server::start(data.path(), QUIET);
            load::check_served(&server, &written, &tracks, kill);
            while tracks.len() < 4 {
                tracks.push(Track::begin(&server));
            }
            let load = Load::new(&server, kill);
            let answers = draw.below(80);
            let pause = Duration::from_micros(draw.below(3_000));
            load.run(&mut tracks, || {
                load.wait_for(answers);
                sleep(pause);
                server.kill();
            });
            figure.answers += load.answered();
        }
        figure.kills += 1;
        figure.torn += u64::from(written.read_on(data.path()));
        for track in &mut tracks {
            figure.results += track.check(&written);
        }
        // Sessions come and go.
        tracks.retain(|track| !track.is_over());
    }
    let mut server = Server::start(data.path(), QUIET);
    load::check_served(&server, &written, &tracks, 0);
    assert_eq!(server.signal("-TERM").code(), Some(0));
    assert!(
        !written.read_on(data.path()),
        "a closed log has no torn end"
    );
    assert!(written.all_jobs_finished());
    figure.records += written.records();
}

const QUIET: &[&str] = &["--log-level", "warn", "--pull-wait", "50ms"];

/// Recovery is interrupted, too.
fn kill_while_starting(data: &Path, after: Duration) {
    let data = data.to_str().unwrap();
    let mut arguments = vec!["serve", "--listen", "127.0.0.1:0", "--data", data];
    arguments.extend(QUIET);
    let mut child = rejoin(&arguments).spawn().unwrap();
    sleep(after);
    child.kill().unwrap();
    child.wait().unwrap();
}

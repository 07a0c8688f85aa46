//! How the cost of an event and of a list page grows with the number of sessions, and that of an
//! event with the length of the history.

use super::Bench;
use super::logs::{self, History};
use crate::Outcome;
use crate::figures::{REJOIN, Section};
use crate::load::{get, load};
use rejoin_core::{Selection, Views};
use std::time::{Duration, Instant};

pub(super) fn in_the_core(bench: &mut Bench<'_>) -> Outcome<Section> {
    let mut section = Section::new(
        "Growth, in the core",
        "One result of a job, decided, applied and folded into the views, in the given number of \
         open sessions in turn; a page of 50 from the middle of the list; and a result in a \
         session that already has the given number of results. One thread, no log. The growth \
         comes from data that no longer fits into the processor's caches.",
    );
    let sizes: &[u64] = match bench.options.quick {
        true => &[1_000, 100_000],
        false => &[1_000, 10_000, 100_000, 1_000_000],
    };
    let rounds = bench.options.rounds(7);
    for &size in sizes {
        let mut history = History::new();
        let mut views = Views::default();
        let mut jobs = Vec::new();
        for number in 0..size {
            let mut records = history.create(number)?;
            // Only a thousand sessions have jobs.
            if number % (size / 1_000) == 0 {
                let (job, more) = history.begin_job(number)?;
                jobs.push((number, job));
                records.extend(more);
            }
            records.iter().for_each(|record| views.apply(record));
        }
        let what = format!("{size} sessions");
        for _ in 0..rounds {
            let each = results(&mut history, &mut views, &jobs)?;
            section.note(&what, REJOIN, "ns, a result", each);
            let began = Instant::now();
            let middle = usize::try_from(size / 2)?;
            for _ in 0..PAGES {
                let all = Selection::default();
                let page: Vec<_> = views
                    .select(&all, middle)
                    .take(50)
                    .map(|it| it.id)
                    .collect();
                std::hint::black_box(page);
            }
            let each = began.elapsed().as_secs_f64() * 1e9 / f64::from(PAGES);
            section.note(&what, REJOIN, "ns, a page of 50", each);
        }
    }
    let mut history = History::new();
    let mut views = Views::default();
    history.create(0)?.iter().for_each(|it| views.apply(it));
    let (job, records) = history.begin_job(0)?;
    records.iter().for_each(|it| views.apply(it));
    let mut before = 0;
    for &size in sizes {
        while before < size {
            let records = history.result(0, job)?;
            records.iter().for_each(|it| views.apply(it));
            before += 1;
        }
        for _ in 0..rounds {
            let each = results(&mut history, &mut views, &[(0, job)])?;
            before += RESULTS as u64;
            let what = format!("after {size} results");
            section.note(&what, REJOIN, "ns, a result", each);
        }
    }
    Ok(section)
}

fn results(
    history: &mut History,
    views: &mut Views,
    jobs: &[(u64, rejoin_core::JobId)],
) -> Outcome<f64> {
    let began = Instant::now();
    for (number, job) in jobs.iter().cycle().take(RESULTS) {
        for record in history.result(*number, *job)? {
            views.apply(&record);
        }
    }
    Ok(began.elapsed().as_secs_f64() * 1e9 / RESULTS as f64)
}

pub(super) fn of_pages(bench: &mut Bench<'_>) -> Outcome<Section> {
    let mut section = Section::new(
        "Growth, whole server",
        "Servers started on logs with the given number of idle sessions: pages of 50 sessions \
         from the middle of MaxScale's list over HTTP, `init_session`, and the start itself.",
    );
    let sizes: &[u64] = match bench.options.quick {
        true => &[1_000, 100_000],
        false => &[1_000, 100_000, 1_000_000],
    };
    let mut servers = Vec::new();
    for &size in sizes {
        let data = bench.scratch.join(size.to_string());
        std::fs::create_dir_all(data.join("log"))?;
        logs::write(&data.join("log"), size, 0)?;
        let began = Instant::now();
        let server = super::http::many_sessions(bench, &size.to_string())?;
        let what = format!("{size} sessions");
        section.note(
            &what,
            REJOIN,
            "ms to start",
            began.elapsed().as_secs_f64() * 1e3,
        );
        let each = server.process.memory()? as f64 / size as f64;
        section.note(&what, REJOIN, "bytes of memory, of the whole process", each);
        servers.push((what, size, server));
    }
    let most = Duration::from_secs(2);
    for _ in 0..bench.options.rounds(5) {
        for (what, size, server) in &servers {
            let page = size / 2 / 50;
            let path =
                format!("/v1/sessions?page%5Bsize%5D=50&page%5Bnumber%5D={page}&pretty=false");
            let requests = vec![get(&path); bench.options.size(2_000)];
            let pages = load(&server.process, server.address, 8, &requests, most)?;
            let shown =
                memchr::memmem::find_iter(&pages.bodies[0], br#""type":"sessions""#).count();
            if shown != 50 {
                let body = String::from_utf8_lossy(&pages.bodies[0]);
                return Err(format!("{path} shows {shown} sessions: {body:.400}").into());
            }
            section.note(
                what,
                REJOIN,
                "µs of processor, a page",
                pages.microseconds_each(),
            );
            let init =
                vec![crate::load::api(r#"{"action":"init_session"}"#); bench.options.size(4_000)];
            let begun = load(&server.process, server.address, 64, &init, most)?;
            let each = begun.microseconds_each();
            section.note(what, REJOIN, "µs of processor, init_session", each);
        }
    }
    Ok(section)
}

const RESULTS: usize = 20_000;
const PAGES: u32 = 2_000;

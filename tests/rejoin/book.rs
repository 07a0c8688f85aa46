//! The book and the README, as a reader takes them: each page's console blocks are one story, run
//! in order in a shell of its own, and must print what the page shows; each link leads somewhere.
//!
//! CONTRIBUTING.md says how such blocks are written.

mod links;
mod page;
mod shown;
mod terminal;

use page::Page;
use std::panic::catch_unwind;
use std::path::PathBuf;
use std::sync::Mutex;
use terminal::Terminal;

/// Blocks that cannot be run here: the page, and why. Each one that is added is seen here.
const NOT_RUN: &[(&str, &str)] = &[
    ("book/src/arthas-service.md", "needs a JVM with Arthas"),
    ("book/src/arthas-service.md", "needs a JVM with Arthas"),
    ("book/src/cluster.md", "takes some minutes"),
    ("book/src/operating.md", "needs a certificate"),
];

/// Needs servers of NATS: `tests/cluster` runs it.
const ELSEWHERE: &str = "book/src/cluster.md";

/// The usual ports of a server.
const PORTS: [&str; 4] = ["8563", "8989", "8030", "9563"];

#[test]
fn every_console_block_prints_what_its_page_shows() {
    let pages = pages();
    let stories: Vec<_> = pages
        .iter()
        .filter(|page| page.blocks.iter().any(|block| block.ignored.is_none()))
        .filter(|page| page.name != ELSEWHERE)
        .collect();
    assert!(
        stories.len() >= 5,
        "so few pages have console blocks: {}",
        stories.len()
    );
    // Most of a story is waiting, so that a few run at once.
    let left = Mutex::new(stories.into_iter());
    let failed = Mutex::new(vec![]);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                loop {
                    // The lock is given back before the story begins.
                    let next = left.lock().unwrap().next();
                    let Some(page) = next else { return };
                    // One that fails does not keep the others from running.
                    if catch_unwind(|| run(page)).is_err() {
                        failed.lock().unwrap().push(&page.name);
                    }
                }
            });
        }
    });
    assert_eq!(failed.into_inner().unwrap(), Vec::<&String>::new());
}

#[test]
fn what_cannot_be_run_is_listed_with_its_reason() {
    let pages = pages();
    let found: Vec<_> = pages
        .iter()
        .flat_map(|page| page.blocks.iter().map(move |block| (page, block)))
        .filter_map(|(page, block)| Some((page.name.as_str(), block.ignored.as_deref()?)))
        .collect();
    assert_eq!(found, NOT_RUN);
    for (page, reason) in found {
        assert!(!reason.is_empty(), "{page}: a block is not run, and why?");
    }
}

#[test]
fn no_command_hides_in_another_kind_of_block() {
    for page in pages() {
        assert_eq!(
            page.hidden,
            Vec::<usize>::new(),
            "{}: these lines show commands outside of console blocks",
            page.name
        );
    }
}

#[test]
fn every_page_is_in_the_summary_and_every_link_leads_somewhere() {
    let pages = pages();
    let wrong = links::wrong(&root(), &pages);
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

fn run(page: &Page) {
    Terminal::open(&PORTS).run_page(page);
}

fn pages() -> Vec<Page> {
    let root = root();
    let book = root.join("book/src");
    let mut names: Vec<_> = std::fs::read_dir(&book)
        .unwrap()
        .map(|file| file.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.ends_with(".md"))
        .map(|name| format!("book/src/{name}"))
        .collect();
    names.push("README.md".into());
    names.sort();
    names.iter().map(|name| Page::read(&root, name)).collect()
}

fn root() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
}

//! The book's page about several nodes, as a reader takes it: its console blocks are one story.

#[path = "../rejoin/book/page.rs"]
mod page;
#[path = "../rejoin/book/shown.rs"]
mod shown;
#[path = "../rejoin/book/terminal.rs"]
mod terminal;

use crate::servers;
use page::Page;
use std::path::Path;
use terminal::Terminal;

/// Of three nodes, and of three servers of NATS: for clients, for each other, for monitoring.
const PORTS: [&str; 12] = [
    "8563", "8562", "8561", "4222", "4223", "4224", "6222", "6223", "6224", "8222", "8223", "8224",
];

#[test]
fn the_page_about_several_nodes_prints_what_it_shows() {
    let root = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."));
    let page = Page::read(root, "book/src/cluster.md");
    let _turn = servers::turn();
    Terminal::open(&PORTS).run_page(&page);
}

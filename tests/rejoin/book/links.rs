//! Links and includes of pages, and the summary: what leads nowhere.
//!
//! What is elsewhere (`https:`) is only looked at for its form: tests have no network.

use super::page::Page;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// What is wrong, each with its page.
pub(super) fn wrong(root: &Path, pages: &[Page]) -> Vec<String> {
    let mut wrong = vec![];
    let texts: BTreeMap<_, _> = pages
        .iter()
        .map(|page| (page.name.as_str(), with_includes(root, page, &mut wrong)))
        .collect();
    let mut in_summary = BTreeSet::new();
    for page in pages {
        let directory = Path::new(&page.name).parent().unwrap();
        for link in links(&texts[page.name.as_str()]) {
            if link.starts_with("https://") && !link.contains(char::is_whitespace) {
                continue;
            }
            let (file, anchor) = link.split_once('#').unwrap_or((&link, ""));
            let target = match file {
                "" => page.name.clone(),
                _ => tidied(&directory.join(file)),
            };
            if page.name.ends_with("SUMMARY.md") {
                in_summary.insert(target.clone());
            }
            // In the book only its pages and pictures are there.
            let is_there = match page.name.starts_with("book/src/") {
                true if !target.starts_with("book/src/") => false,
                true if target.ends_with(".png") => root.join(&target).is_file(),
                true => texts.contains_key(target.as_str()),
                false => root.join(&target).is_file(),
            };
            let anchors = texts.get(target.as_str()).map(|text| anchors(text));
            let is_found =
                anchor.is_empty() || anchors.is_some_and(|anchors| anchors.contains(anchor));
            if !is_there || !is_found {
                wrong.push(format!("{}: ({link}) leads nowhere", page.name));
            }
        }
    }
    let of_the_book = pages
        .iter()
        .filter(|page| page.name.starts_with("book/") && !page.name.ends_with("SUMMARY.md"));
    wrong.extend(
        of_the_book
            .filter(|page| !in_summary.contains(&page.name))
            .map(|page| format!("{} is not in the summary", page.name)),
    );
    wrong
}

/// The page's text with what it includes: a file, or the part of one between two anchors.
fn with_includes(root: &Path, page: &Page, wrong: &mut Vec<String>) -> String {
    let directory = root.join(&page.name);
    let directory = directory.parent().unwrap();
    let mut text = String::new();
    for line in page.text.lines() {
        let include = line
            .strip_prefix("{{#include ")
            .and_then(|it| it.strip_suffix("}}"));
        let Some(include) = include else {
            text += line;
            text.push('\n');
            continue;
        };
        let (file, anchor) = include.split_once(':').unwrap_or((include, ""));
        let included = std::fs::read_to_string(directory.join(file)).unwrap_or_default();
        let part = match anchor {
            "" => Some(included.as_str()),
            _ => included
                .split_once(&format!("ANCHOR: {anchor}"))
                .and_then(|(_, rest)| rest.split_once(&format!("ANCHOR_END: {anchor}")))
                .map(|(part, _)| part),
        };
        match part {
            Some(part) if !part.is_empty() => text += part,
            _ => wrong.push(format!("{}: {line} includes nothing", page.name)),
        }
    }
    text
}

/// Where the links of a text lead, code apart.
fn links(text: &str) -> Vec<String> {
    let mut links = vec![];
    for line in prose(text) {
        // What stands between backticks is code.
        let plain: String = line.split('`').step_by(2).collect::<Vec<_>>().join("``");
        let targets = plain.split("](").skip(1);
        links.extend(
            targets
                .filter_map(|target| target.split_once(')'))
                .map(|(link, _)| link.to_owned()),
        );
    }
    links
}

/// What `#…` may name on a page: its headings, as mdBook writes them.
fn anchors(text: &str) -> BTreeSet<String> {
    let headings = prose(text).filter(|line| line.starts_with('#'));
    let anchor = |heading: &str| {
        let words = heading.trim_start_matches('#').trim().to_lowercase();
        let kept = words.chars().filter_map(|it| match it {
            ' ' => Some('-'),
            it if it.is_alphanumeric() || it == '-' || it == '_' => Some(it),
            _ => None,
        });
        kept.collect()
    };
    headings.map(anchor).collect()
}

/// The lines that are in no code block.
fn prose(text: &str) -> impl Iterator<Item = &str> {
    let mut is_code = false;
    text.lines().filter(move |line| {
        let is_fence = line.starts_with("```");
        is_code ^= is_fence;
        !is_code && !is_fence
    })
}

/// A path without `..`.
fn tidied(path: &Path) -> String {
    let mut parts: Vec<&str> = vec![];
    for part in path.iter().filter_map(|part| part.to_str()) {
        match part {
            "." => {}
            ".." => {
                parts.pop();
            }
            _ => parts.push(part),
        }
    }
    parts.join("/")
}

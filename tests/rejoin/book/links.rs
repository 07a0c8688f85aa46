//! Finds broken links in the pages and the summary, and pages missing in the summary.
//!
//! Links to other sites (`https:`) are only checked for whitespace, because tests have no network.

use super::page::Page;
use std::collections::BTreeSet;
use std::path::Path;

/// Returns all problems, each with its page.
pub(super) fn wrong(root: &Path, pages: &[Page]) -> Vec<String> {
    let mut wrong = vec![];
    let mut in_summary = BTreeSet::new();
    for page in pages {
        if page.text.contains("{{#") {
            wrong.push(format!(
                "{}: code hosts do not render includes; use a link",
                page.name
            ));
        }
        let directory = Path::new(&page.name).parent().unwrap();
        for link in links(&page.text) {
            if link.starts_with("https://") && !link.contains(char::is_whitespace) {
                continue;
            }
            let (file, anchor) = link.split_once('#').unwrap_or((&link, ""));
            let target = match file {
                "" => page.name.clone(),
                _ => normalized(&directory.join(file)),
            };
            if page.name.ends_with("SUMMARY.md") {
                in_summary.insert(target.clone());
            }
            // A link to a directory is fine: code hosts list its files.
            let exists = root.join(&target).exists();
            let anchor_exists = anchor.is_empty()
                || std::fs::read_to_string(root.join(&target))
                    .is_ok_and(|text| anchors(&text).contains(anchor));
            if !exists || !anchor_exists {
                wrong.push(format!("{}: broken link ({link})", page.name));
            }
        }
    }
    let book_pages = pages
        .iter()
        .filter(|page| page.name.starts_with("book/") && !page.name.ends_with("SUMMARY.md"));
    wrong.extend(
        book_pages
            .filter(|page| !in_summary.contains(&page.name))
            .map(|page| format!("{} is not in the summary", page.name)),
    );
    wrong
}

/// The targets of all links in a text, except in code.
fn links(text: &str) -> Vec<String> {
    let mut links = vec![];
    for line in prose(text) {
        // Text between backticks is code.
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

/// The anchors of a page: its headings in the form that mdBook gives them.
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

/// The lines outside code blocks.
fn prose(text: &str) -> impl Iterator<Item = &str> {
    let mut is_code = false;
    text.lines().filter(move |line| {
        let is_fence = line.starts_with("```");
        is_code ^= is_fence;
        !is_code && !is_fence
    })
}

/// Removes `.` and `..` from a path.
fn normalized(path: &Path) -> String {
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

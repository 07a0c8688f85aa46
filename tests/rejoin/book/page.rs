//! Parses a page into console blocks: commands, each with the output shown below it.

use std::path::Path;

/// A page of Markdown.
#[derive(Debug)]
pub(super) struct Page {
    /// Its path from the root of the repository.
    pub(super) name: String,
    pub(super) text: String,
    pub(super) blocks: Vec<Block>,
    /// Line numbers of lines in other blocks that look like commands.
    pub(super) hidden: Vec<usize>,
}

/// A `console` block.
#[derive(Debug)]
pub(super) struct Block {
    pub(super) line: usize,
    /// The reason why it is not run, if it is not.
    pub(super) ignored: Option<String>,
    pub(super) commands: Vec<Command>,
}

/// A command: the text after `$ `, with continuation lines after `> `, and the output shown below.
#[derive(Debug)]
pub(super) struct Command {
    pub(super) line: usize,
    pub(super) typed: String,
    pub(super) shown: Vec<String>,
}

/// A block that continues the output of the command before it, for output that looks like commands.
const OUTPUT: &str = "console,output";

impl Page {
    pub(super) fn read(root: &Path, name: &str) -> Self {
        let text = std::fs::read_to_string(root.join(name)).unwrap();
        let mut page = Self {
            name: name.into(),
            blocks: vec![],
            hidden: vec![],
            text,
        };
        let mut fence: Option<String> = None;
        for (number, line) in (1..).zip(page.text.lines()) {
            match (&fence, line.strip_prefix("```")) {
                (None, Some(kind)) => {
                    fence = Some(kind.to_owned());
                    if kind.starts_with("console") && kind != OUTPUT {
                        page.blocks.push(Block::new(name, number, kind));
                    }
                }
                (Some(_), Some(_)) => fence = None,
                (Some(kind), None) if kind == OUTPUT => {
                    let command = page.blocks.last_mut().and_then(|it| it.commands.last_mut());
                    command.unwrap().shown.push(line.to_owned());
                }
                (Some(kind), None) if kind.starts_with("console") => {
                    page.blocks.last_mut().unwrap().take(name, number, line);
                }
                (Some(_), None) if line.starts_with("$ ") => page.hidden.push(number),
                _ => {}
            }
        }
        assert_eq!(fence, None, "{name}: a block is not closed");
        page
    }
}

impl Block {
    fn new(page: &str, line: usize, kind: &str) -> Self {
        let ignored = match kind.strip_prefix("console").unwrap() {
            "" => None,
            rest => Some(
                rest.strip_prefix(",ignore")
                    .unwrap_or_else(|| panic!("{page}, line {line}: unknown block kind {kind}"))
                    .trim()
                    .to_owned(),
            ),
        };
        Self {
            line,
            ignored,
            commands: vec![],
        }
    }

    fn take(&mut self, page: &str, line: usize, text: &str) {
        if let Some(typed) = text.strip_prefix("$ ") {
            self.commands.push(Command {
                line,
                typed: typed.into(),
                shown: vec![],
            });
            return;
        }
        let Some(command) = self.commands.last_mut() else {
            panic!("{page}, line {line}: output before the first command: {text}");
        };
        match text.strip_prefix("> ") {
            Some(more) if command.shown.is_empty() => {
                command.typed.push('\n');
                command.typed += more;
            }
            _ => command.shown.push(text.into()),
        }
    }
}

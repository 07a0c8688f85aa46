//! The files of the page. A test checks that the list is complete.

/// A file and the path at which it is served.
#[derive(Debug)]
pub(crate) struct Asset {
    pub(crate) path: &'static str,
    pub(crate) content_type: &'static str,
    pub(crate) bytes: &'static [u8],
}

macro_rules! assets {
    ($($kind:ident $($name:literal)+;)+) => {
        &[
            Asset {
                path: "/",
                content_type: "text/html; charset=utf-8",
                bytes: include_bytes!("../assets/index.html"),
            },
            Asset {
                path: TERMINAL,
                content_type: "text/html; charset=utf-8",
                bytes: include_bytes!("../assets/terminal.html"),
            },
            Asset {
                path: NOT_FOUND,
                content_type: "text/html; charset=utf-8",
                bytes: include_bytes!("../assets/not-found.html"),
            },
            $($(Asset {
                path: concat!("/console/", $name),
                content_type: $kind,
                bytes: include_bytes!(concat!("../assets/", $name)),
            },)+)+
        ]
    };
}

/// The page of one terminal, by itself or as a frame of the other page.
pub(crate) const TERMINAL: &str = "/console/terminal.html";

/// What a browser gets at an address where nothing is.
pub(crate) const NOT_FOUND: &str = "/console/not-found.html";

const SCRIPT: &str = "text/javascript; charset=utf-8";
const STYLE: &str = "text/css; charset=utf-8";
const IMAGE: &str = "image/svg+xml";
const TEXT: &str = "text/plain; charset=utf-8";

pub(crate) const ASSETS: &[Asset] = assets! {
    SCRIPT
        "api.js" "arthas.js" "blocks.js" "clipboard.js" "dialogs.js" "dom.js" "emulator.js" "format.js" "inline.js"
        "jobs.js" "keyboard.js" "limits.js" "line.js" "main.js" "notices.js" "notify.js" "playback.js" "prompt.js" "queue.js"
        "recording.js" "render.js" "repetition.js" "result.js" "role.js" "route.js" "screen.js" "search.js" "session.js" "sessions.js"
        "status.js" "stream.js" "style.js" "terminal-link.js" "terminal-page.js" "terminal-view.js"
        "terminal.js" "theme-init.js" "theme.js" "timeline.js" "transcript.js"
        "vendor/addon-fit.mjs" "vendor/addon-unicode11.mjs" "vendor/addon-web-links.mjs"
        "vendor/xterm.mjs" "viewers.js" "welcome.js" "width.js" "wrap.js";
    STYLE
        "components.css" "layout.css" "screen.css" "terminal.css" "theme.css" "vendor/xterm.css";
    TEXT
        "vendor/LICENSE.txt" "vendor/README.txt";
    IMAGE
        "icon.svg";
};

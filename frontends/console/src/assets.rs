//! The files that the page is made of. A test says when one is missing here.

/// A file, and where it is served.
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
            $($(Asset {
                path: concat!("/console/", $name),
                content_type: $kind,
                bytes: include_bytes!(concat!("../assets/", $name)),
            },)+)+
        ]
    };
}

const SCRIPT: &str = "text/javascript; charset=utf-8";
const STYLE: &str = "text/css; charset=utf-8";
const IMAGE: &str = "image/svg+xml";

pub(crate) const ASSETS: &[Asset] = assets! {
    SCRIPT
        "api.js" "blocks.js" "clipboard.js" "dialogs.js" "dom.js" "fall.js" "jobs.js" "keyboard.js"
        "limits.js" "line.js" "main.js" "notices.js" "paint.js" "playback.js" "prompt.js"
        "recording.js" "remembered.js" "result.js" "route.js" "screen.js" "session.js"
        "sessions.js" "standing.js" "stream.js" "style.js" "terminal.js" "theme.js" "timeline.js"
        "transcript.js" "width.js" "words.js";
    STYLE
        "layout.css" "parts.css" "screen.css" "theme.css";
    IMAGE
        "icon.svg";
};

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
        "api.js" "arthas.js" "blocks.js" "clipboard.js" "dialogs.js" "dom.js" "format.js" "jobs.js" "keyboard.js"
        "limits.js" "line.js" "main.js" "notices.js" "playback.js" "prompt.js" "recording.js"
        "render.js" "result.js" "route.js" "screen.js" "search.js" "session.js" "sessions.js" "status.js"
        "stream.js" "style.js" "terminal.js" "theme-init.js" "theme.js" "timeline.js"
        "transcript.js" "viewers.js" "welcome.js" "width.js" "wrap.js";
    STYLE
        "components.css" "layout.css" "screen.css" "theme.css";
    IMAGE
        "icon.svg";
};

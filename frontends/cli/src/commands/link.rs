//! `rejoin link`: links by which others watch a session without an account.

use super::sessions::{now, print};
use crate::args::{LinkArgs, LinkCommand};
use crate::client::ClientError;
use crate::client::api::Api;
use crate::client::resolve::{identity, resolve};
use crate::client::table::{harmless, table};
use crate::offline::{instant, warn};
use crate::settings::Wait;
use rejoin_core::Timestamp;
use serde_json::{Value, json};

pub(crate) fn run(args: &LinkArgs) -> Result<(), ClientError> {
    match &args.change {
        LinkCommand::Add { at, expires, json } => {
            let api = Api::new(&at.server)?;
            let (session, _) = identity(&resolve(&api, &at.session)?)?;
            add(&api, &session, *expires, *json)
        }
        LinkCommand::List { at, json } => {
            let api = Api::new(&at.server)?;
            let (session, _) = identity(&resolve(&api, &at.session)?)?;
            let listed = api.get(&format!("/sessions/{session}/links"))?;
            match json {
                true => print(&format!("{listed}\n")),
                false => list(&listed["links"]),
            }
        }
        LinkCommand::Remove { at, link } => {
            let api = Api::new(&at.server)?;
            let (session, _) = identity(&resolve(&api, &at.session)?)?;
            let is_name = link.bytes().all(|byte| byte.is_ascii_alphanumeric());
            if !is_name || link.is_empty() {
                let reason = format!("{link} is no name of a link: `rejoin link list` shows them");
                return Err(ClientError::Settings(reason));
            }
            api.delete(&format!("/sessions/{session}/links/{link}"))
                .map(drop)
        }
    }
}

fn add(api: &Api, session: &str, Wait(expires): Wait, is_json: bool) -> Result<(), ClientError> {
    // The API has no milliseconds.
    let seconds = expires.as_secs().max(1);
    let new = json!({"expires": format!("{seconds}s")});
    let link = api.post(&format!("/sessions/{session}/links"), &new)?;
    if api.is_local() {
        warn("others cannot open this address: it is one of this machine alone");
    }
    if is_json {
        return print(&format!("{link}\n"));
    }
    let path = link["path"].as_str().unwrap_or_default();
    print(&format!("{}{path}\n", api.url()))
}

fn list(links: &Value) -> Result<(), ClientError> {
    let now = now();
    let row = |link: &Value| {
        let expires = Timestamp::from_millis(link["expires"].as_u64().unwrap_or_default());
        let text = |name: &str| harmless(link[name].as_str().unwrap_or("-"));
        let left = expires.as_millis().saturating_sub(now.as_millis()) / 1_000;
        let left = match left {
            0..120 => format!("{left} s"),
            120..7_200 => format!("{} min", left / 60),
            7_200..172_800 => format!("{} h", left / 3_600),
            _ => format!("{} days", left / 86_400),
        };
        vec![text("link"), text("account"), instant(expires), left]
    };
    let rows: Vec<_> = links.as_array().into_iter().flatten().map(row).collect();
    if rows.is_empty() {
        warn("no links to this session");
        return Ok(());
    }
    print(&table(&["LINK", "BY", "ENDS", "IN"], &rows, None))
}

//! `GET /v1/sessions`: some sessions at a time, so that a long list neither holds up the writer
//! nor fills the memory.

use crate::MaxScale;
use crate::error::Fault;
use crate::fields;
use crate::filter::Plan;
use crate::handlers::{Asked, JSON};
use crate::limits::{TURN, WHOLE};
use crate::query::Page;
use crate::resource::Scene;
use crate::session::Session;
use crate::wire::Form;
use futures::{StreamExt, stream};
use rejoin_engine::Engine;
use rejoin_http::Url;
use rejoin_http::{Bytes, Response, StatusCode};
use serde_json::{Value, json};
use std::io;
use std::time::Duration;

impl MaxScale {
    pub(crate) async fn list(&self, asked: Asked<'_>) -> Result<Response, Fault> {
        let plan = Plan::new(asked.query.filters()?).of_user(asked.caller.shown_user());
        let walk = Walk {
            engine: self.engine.clone(),
            scene: asked.scene.clone(),
            plan,
        };
        let page = asked.query.page();
        let (from, total) = match page {
            Some(page) => {
                let (from, total) = walk.place(page.size.saturating_mul(page.number)).await;
                (from, Some(total))
            }
            None => (Some(0), None),
        };
        let end = Tail {
            links: links(&asked, page, total.unwrap_or_default()),
            total,
        };
        let kept = asked.query.fields("sessions");
        let listing = Listing {
            from,
            left: page.map_or(usize::MAX, |page| page.size),
            is_first: true,
            form: asked.form,
            fields: kept.map(|fields| fields.into_iter().map(Into::into).collect()),
            end: Some(end),
            walk,
        };
        Ok(listing.answer().await)
    }
}

/// Sessions that filters select, in turns.
#[derive(Debug)]
struct Walk {
    engine: Engine,
    scene: Scene,
    plan: Plan,
}

impl Walk {
    /// The number of the session that `skip` selected ones come before, and how many are selected
    /// at all. An index knows both, or else every session that it leaves over is looked at.
    async fn place(&self, skip: usize) -> (Option<u64>, usize) {
        if self.plan.is_exact() {
            return self.engine.view(|views| {
                let selection = self.plan.selection(0);
                let found = views.select(&selection, skip).next();
                (found.map(|view| view.number.0), views.count(&selection))
            });
        }
        let (mut from, mut found, mut count) = (Some(0), None, 0usize);
        while let Some(start) = from {
            let next = self.turn(start, usize::MAX, |number, _| {
                if count == skip {
                    found = Some(number);
                }
                count += 1;
            });
            from = next;
            self.let_others().await;
        }
        (found, count)
    }

    /// Shows the next selected sessions from a number on, `most` at most, of as many as are looked
    /// at in one turn. Where the next turn begins, if there may be more.
    fn turn(&self, from: u64, most: usize, mut show: impl FnMut(u64, &Session<'_>)) -> Option<u64> {
        let (mut last, mut looked, mut selected) = (None, 0, 0);
        self.engine.view(|views| {
            let selection = self.plan.selection(from);
            for view in views.select(&selection, 0).take(TURN) {
                if selected == most {
                    break;
                }
                last = Some(view.number.0);
                looked += 1;
                let session = self.scene.session(view);
                if self.plan.is_exact() || self.plan.shows(&session.value()) {
                    selected += 1;
                    show(view.number.0, &session);
                }
            }
        });
        let next = last.filter(|_| looked == TURN || selected == most);
        next.and_then(|last| last.checked_add(1))
    }

    /// Gives the connections of the same thread their turn.
    async fn let_others(&self) {
        self.engine.runtime().timer(Duration::ZERO).await;
    }

    /// Whether so many may be listed that the list is not to be held in memory.
    fn is_long(&self, left: usize) -> bool {
        let selection = self.plan.selection(0);
        let most = self.engine.view(|views| match self.plan.is_exact() {
            true => views.count(&selection),
            false => views.open_count(),
        });
        most.min(left) as u64 > WHOLE
    }
}

/// A list that is being written.
#[derive(Debug)]
struct Listing {
    walk: Walk,
    /// The number from which on it goes on; none: all are written.
    from: Option<u64>,
    /// How many may still be written.
    left: usize,
    is_first: bool,
    form: Form,
    fields: Option<Vec<String>>,
    /// What comes after the sessions; none: it was written.
    end: Option<Tail>,
}

#[derive(Debug)]
struct Tail {
    links: Value,
    total: Option<usize>,
}

impl Listing {
    async fn answer(self) -> Response {
        let is_long = self.walk.is_long(self.left);
        let head = Bytes::from(self.head());
        let parts = stream::unfold(self, |mut listing| async move {
            let part = listing.next().await?;
            Some((Ok::<_, io::Error>(Bytes::from(part)), listing))
        });
        let parts = stream::iter([Ok(head)]).chain(parts);
        if is_long {
            return Response::streaming(StatusCode::OK, JSON, parts);
        }
        let mut whole = Vec::new();
        let mut parts = std::pin::pin!(parts);
        while let Some(Ok(part)) = parts.next().await {
            whole.extend_from_slice(&part);
        }
        Response::new(StatusCode::OK, JSON, whole)
    }

    fn head(&self) -> Vec<u8> {
        let mut out = b"{".to_vec();
        self.form.line(&mut out, 1);
        self.form.name(&mut out, "data");
        out.push(b'[');
        out
    }

    async fn next(&mut self) -> Option<Vec<u8>> {
        let mut out = Vec::new();
        let Some(from) = self.from.filter(|_| self.left > 0) else {
            self.end.take()?.write(&mut out, self.form, self.is_first);
            return Some(out);
        };
        let fields: Option<Vec<&str>> = self
            .fields
            .as_ref()
            .map(|fields| fields.iter().map(String::as_str).collect());
        let mut written = 0;
        self.from = self.walk.turn(from, self.left, |_, session| {
            if !self.is_first {
                out.push(b',');
            }
            self.is_first = false;
            written += 1;
            self.form.line(&mut out, 2);
            match &fields {
                None => self.form.write(&mut out, session, 2),
                Some(fields) => {
                    let mut resource = session.value();
                    fields::keep(&mut resource, fields);
                    self.form.write(&mut out, &resource, 2);
                }
            }
        });
        self.left -= written;
        if self.from.is_some() {
            self.walk.let_others().await;
        }
        Some(out)
    }
}

impl Tail {
    fn write(self, out: &mut Vec<u8>, form: Form, is_empty: bool) {
        if !is_empty {
            form.line(out, 1);
        }
        out.extend_from_slice(b"],");
        form.line(out, 1);
        form.name(out, "links");
        form.write(out, &self.links, 1);
        if let Some(total) = self.total {
            out.push(b',');
            form.line(out, 1);
            form.name(out, "meta");
            form.write(out, &json!({"total": total}), 1);
        }
        form.line(out, 0);
        out.push(b'}');
    }
}

/// Where the list and its other pages are.
fn links(asked: &Asked<'_>, page: Option<Page>, total: usize) -> Value {
    let own = format!("{}{}", asked.scene.base, asked.path);
    let Some(Page { size, number }) = page else {
        return json!({"self": own});
    };
    let link = |number: usize| {
        let mut pairs = Url::parse("http://query/").expect("it is a URL");
        pairs
            .query_pairs_mut()
            .append_pair("page[size]", &size.to_string())
            .append_pair("page[number]", &number.to_string())
            .extend_pairs(asked.query.carried());
        format!("{own}?{}", pairs.query().unwrap_or_default())
    };
    let last = total.div_ceil(size).saturating_sub(1);
    let mut links = json!({"first": link(0), "last": link(last), "self": link(number)});
    if number < last {
        links["next"] = link(number + 1).into();
    }
    if number > 0 && number <= last {
        links["prev"] = link(number - 1).into();
    }
    links
}

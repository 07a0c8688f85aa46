//! `GET /v1/sessions`: a list of sessions, or a page of it.
//!
//! A list is written some sessions at a time: a long one neither keeps the views locked nor fills
//! the memory.

use crate::MaxScale;
use crate::context::RenderContext;
use crate::error::Fault;
use crate::fields;
use crate::filter::QueryPlan;
use crate::handlers::{Call, JSON};
use crate::json_style::JsonStyle;
use crate::limits::BUFFER_MAX;
use crate::query::{Page, Query};
use crate::session::Session;
use futures::{StreamExt, stream};
use rejoin_engine::{SessionNumber, SessionPager};
use rejoin_http::{Response, StatusCode, Url};
use serde_json::{Value, json};
use std::ops::ControlFlow;

impl MaxScale {
    pub(crate) async fn list_sessions(&self, call: Call<'_>) -> Result<Response, Fault> {
        let plan = QueryPlan::new(call.query.filters()?, self.accounts.server_user()).shown_to(
            call.caller.shown_user(),
            self.accounts.entered(&call.caller),
        );
        let mut scan = Scan {
            pager: SessionPager::new(&self.engine, &plan.selection()),
            context: call.context.clone(),
            plan,
        };
        let page = call.query.page();
        let total = match page {
            Some(page) => Some(scan.skip(page.size.saturating_mul(page.number)).await),
            None => None,
        };
        let left = page.map_or(usize::MAX, |page| page.size);
        // Of sessions that have to be looked at, any number may be shown.
        let is_long = scan.pager.remaining().min(left) > BUFFER_MAX;
        let own = format!("{}sessions/", call.context.base);
        let fields = call.query.fields("sessions");
        let writer = ListWriter {
            scan,
            has_more: true,
            left,
            is_empty: true,
            style: call.style,
            fields: fields.map(|fields| fields.into_iter().map(Into::into).collect()),
            tail: Some(Tail {
                links: links(&own, &call.query, page, total.unwrap_or_default()),
                total,
            }),
        };
        let head = writer.head();
        let parts = stream::unfold(writer, |mut writer| async move {
            let part = writer.next_part().await?;
            Some((part, writer))
        });
        let parts = stream::iter([head]).chain(parts);
        Ok(Response::from_parts(StatusCode::OK, JSON, is_long, parts).await)
    }
}

/// Walks through the sessions that match the filters.
#[derive(Debug)]
struct Scan {
    pager: SessionPager,
    context: RenderContext,
    plan: QueryPlan,
}

impl Scan {
    /// Skips matching sessions, and returns how many there are in all. The index knows both unless
    /// filters are left that only the session itself can answer: then every session that the index
    /// selects is looked at.
    async fn skip(&mut self, count: usize) -> usize {
        if self.plan.is_exact() {
            return self.pager.skip(count);
        }
        let (mut first, mut total) = (None, 0);
        loop {
            let has_more = self.step(usize::MAX, |number, _| {
                if total == count {
                    first = Some(number);
                }
                total += 1;
            });
            if !has_more {
                break;
            }
            self.pager.yield_now().await;
        }
        self.pager.start_at(first);
        total
    }

    /// Shows the matching sessions of one step, `most` at most, which is at least one. Returns
    /// whether there may be more.
    fn step(&mut self, most: usize, mut show: impl FnMut(SessionNumber, &Session<'_>)) -> bool {
        let (context, plan) = (&self.context, &self.plan);
        let mut shown = 0;
        self.pager.step(|view| {
            let session = Session::new(context, view);
            if plan.is_exact() || plan.matches(&session.to_value()) {
                show(view.number, &session);
                shown += 1;
            }
            match shown < most {
                true => ControlFlow::Continue(()),
                false => ControlFlow::Break(()),
            }
        })
    }
}

/// Writes the body of a list, part by part.
#[derive(Debug)]
struct ListWriter {
    scan: Scan,
    /// Whether there may be sessions that were not looked at.
    has_more: bool,
    /// How many sessions may still be written.
    left: usize,
    is_empty: bool,
    style: JsonStyle,
    fields: Option<Vec<String>>,
    /// The end of the body, until it is written.
    tail: Option<Tail>,
}

#[derive(Debug)]
struct Tail {
    links: Value,
    total: Option<usize>,
}

impl ListWriter {
    fn head(&self) -> Vec<u8> {
        let mut out = b"{".to_vec();
        self.style.new_line(&mut out, 1);
        self.style.name(&mut out, "data");
        out.push(b'[');
        out
    }

    async fn next_part(&mut self) -> Option<Vec<u8>> {
        if self.has_more && self.left > 0 {
            let out = self.sessions();
            if self.has_more {
                self.scan.pager.yield_now().await;
            }
            return Some(out);
        }
        let mut out = Vec::new();
        let tail = self.tail.take()?;
        tail.write(&mut out, self.style, self.is_empty);
        Some(out)
    }

    /// The sessions of one step.
    fn sessions(&mut self) -> Vec<u8> {
        let mut out = Vec::new();
        let fields = self.fields.as_ref();
        let fields: Option<Vec<&str>> =
            fields.map(|fields| fields.iter().map(String::as_str).collect());
        let (style, is_empty, left) = (self.style, &mut self.is_empty, &mut self.left);
        self.has_more = self.scan.step(*left, |_, session| {
            if !*is_empty {
                out.push(b',');
            }
            *is_empty = false;
            *left -= 1;
            style.new_line(&mut out, 2);
            match &fields {
                None => style.write(&mut out, session, 2),
                Some(fields) => {
                    let mut resource = session.to_value();
                    fields::retain(&mut resource, fields);
                    style.write(&mut out, &resource, 2);
                }
            }
        });
        out
    }
}

impl Tail {
    fn write(self, out: &mut Vec<u8>, style: JsonStyle, is_empty: bool) {
        if !is_empty {
            style.new_line(out, 1);
        }
        out.extend_from_slice(b"],");
        style.new_line(out, 1);
        style.name(out, "links");
        style.write(out, &self.links, 1);
        if let Some(total) = self.total {
            out.push(b',');
            style.new_line(out, 1);
            style.name(out, "meta");
            style.write(out, &json!({"total": total}), 1);
        }
        style.new_line(out, 0);
        out.push(b'}');
    }
}

/// The links to the list at `own` and, if this is a page, to its other pages.
fn links(own: &str, query: &Query, page: Option<Page>, total: usize) -> Value {
    let Some(Page { size, number }) = page else {
        return json!({"self": own});
    };
    let link = |number: usize| {
        let mut url = Url::parse("http://query/").expect("a valid URL");
        url.query_pairs_mut()
            .append_pair("page[size]", &size.to_string())
            .append_pair("page[number]", &number.to_string())
            .extend_pairs(query.parts_except_page());
        format!("{own}?{}", url.query().unwrap_or_default())
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

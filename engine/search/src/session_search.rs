//! Finds sessions, a bounded part in each call.

use crate::limits::{SESSIONS_BYTES, STEP_BYTES};
use crate::session_query::SessionQuery;
use rejoin_engine::{Engine, SessionNumber, SessionView};
use std::time::Duration;

/// Sessions that match a query.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FoundSessions<T> {
    /// What was asked for of each, newest first.
    pub sessions: Vec<T>,
    /// The search goes on at the sessions below this number. None: there are no more. There may be
    /// more even if nothing was found.
    pub next: Option<u64>,
}

/// Which sessions are looked for.
#[derive(Clone, Copy, Debug)]
pub struct FindSessions<'a> {
    /// The query.
    pub query: &'a SessionQuery,
    /// The user that people see for a session of nobody.
    pub nobody: &'a str,
    /// Only sessions with a lower number.
    pub before: u64,
    /// How many are enough.
    pub limit: usize,
}

/// Finds the newest sessions among the open ones and the ended ones that the engine remembers. `admit`
/// says which ones are looked at at all; it must be quick, as the engine can't publish records meanwhile.
/// `show` says what is wanted of each.
///
/// Looks at a bounded part of the sessions: 32 MiB of their texts.
///
/// ```
/// use rejoin_engine::testing::Hold;
/// use rejoin_engine::Engine;
/// use rejoin_search::{FindSessions, SessionQuery, find_sessions};
///
/// # smol::block_on(async {
/// let engine = Engine::in_memory().service("shell", Hold).open().await?;
/// for command in ["make test", "make install"] {
///     engine.create_session("shell").await?.run(command).await?;
/// }
/// let query = SessionQuery::parse("command:test")?;
/// let find = FindSessions { query: &query, nobody: "", before: u64::MAX, limit: 10 };
/// let found = find_sessions(&engine, &find, |_| true, |session| session.number.0).await;
/// assert_eq!((found.sessions, found.next), (vec![1], None));
/// # Ok::<_, Box<dyn std::error::Error>>(())
/// # }).unwrap();
/// ```
pub async fn find_sessions<T>(
    engine: &Engine,
    find: &FindSessions<'_>,
    admit: impl Fn(&SessionView) -> bool,
    show: impl Fn(&SessionView) -> T,
) -> FoundSessions<T> {
    let FindSessions {
        query,
        nobody,
        before,
        limit,
    } = *find;
    let mut found = vec![];
    let mut next = Some(before);
    let mut cost = 0;
    while let Some(before) = next
        && found.len() < limit
        && cost < SESSIONS_BYTES
    {
        if cost > 0 {
            engine.runtime().timer(Duration::ZERO).await;
        }
        let end = cost + STEP_BYTES;
        next = engine.view(|views| {
            for session in views.newest_below(SessionNumber(before)) {
                cost += SESSION_COST;
                let user = session.user.as_deref().filter(|user| !user.is_empty());
                if admit(session) && query.matches(session, user.unwrap_or(nobody), &mut cost) {
                    found.push(show(session));
                }
                if found.len() >= limit || cost >= end {
                    // Nothing is below the first session.
                    return Some(session.number.0).filter(|number| *number > 1);
                }
            }
            None
        });
    }
    FoundSessions {
        sessions: found,
        next,
    }
}

/// What it costs to see that a session is not looked at, as bytes of text.
const SESSION_COST: usize = 32;

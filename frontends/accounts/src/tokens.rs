//! Random tokens, each of an account. Pure: the time is an argument.
//!
//! A token expires when it is unused for too long, too old or revoked, when the account's password
//! changes, and with the process.

use crate::limits::{TOKENS, TOKENS_EACH};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// The lifetime of tokens, and which tokens count together. A token of one kind is not accepted as
/// another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct TokenKind {
    /// The frontend's name.
    pub name: &'static str,
    /// How long a token lasts unused.
    pub idle: Duration,
    /// How long a token lasts, even if it is used.
    pub absolute: Duration,
}

#[derive(Debug)]
pub(crate) struct Token {
    pub(crate) account: Arc<str>,
    /// The code of the password's hash when the token was issued.
    pub(crate) seal: [u8; 32],
    kind: TokenKind,
    made: Duration,
    used: Duration,
}

/// Tokens by the codes of their texts, so that the time of a look-up reveals nothing about them.
#[derive(Debug, Default)]
pub(crate) struct Tokens {
    by_code: BTreeMap<[u8; 32], Token>,
}

impl Tokens {
    pub(crate) fn add(
        &mut self,
        code: [u8; 32],
        kind: TokenKind,
        account: Arc<str>,
        seal: [u8; 32],
        now: Duration,
    ) {
        let mine = |token: &Token| token.kind == kind && token.account == account;
        let count = self.by_code.values().filter(|token| mine(token)).count();
        if count >= TOKENS_EACH {
            self.drop_oldest(mine);
        }
        if self.by_code.len() >= TOKENS {
            self.by_code.retain(|_, token| token.is_alive(now));
        }
        if self.by_code.len() >= TOKENS {
            self.drop_oldest(|_| true);
        }
        let token = Token {
            account,
            seal,
            kind,
            made: now,
            used: now,
        };
        self.by_code.insert(code, token);
    }

    /// The token; counts as a use.
    pub(crate) fn use_up(
        &mut self,
        code: &[u8; 32],
        kind: TokenKind,
        now: Duration,
    ) -> Option<&Token> {
        let is_alive = |token: &Token| token.kind == kind && token.is_alive(now);
        if !self.by_code.get(code).is_some_and(is_alive) {
            return None;
        }
        let token = self.by_code.get_mut(code)?;
        token.used = now;
        Some(token)
    }

    pub(crate) fn end(&mut self, code: &[u8; 32], kind: TokenKind) {
        if self.by_code.get(code).is_some_and(|it| it.kind == kind) {
            self.by_code.remove(code);
        }
    }

    fn drop_oldest(&mut self, of: impl Fn(&Token) -> bool) {
        let all = self.by_code.iter().filter(|(_, token)| of(token));
        if let Some((code, _)) = all.min_by_key(|(_, token)| token.used) {
            let code = *code;
            self.by_code.remove(&code);
        }
    }
}

impl Token {
    fn is_alive(&self, now: Duration) -> bool {
        now.saturating_sub(self.used) < self.kind.idle
            && now.saturating_sub(self.made) < self.kind.absolute
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KIND: TokenKind = TokenKind {
        name: "test",
        idle: Duration::from_secs(10),
        absolute: Duration::from_secs(25),
    };

    fn code(number: usize) -> [u8; 32] {
        let mut code = [0; 32];
        code[..8].copy_from_slice(&(number as u64).to_le_bytes());
        code
    }

    #[test]
    fn a_token_ends_when_it_is_unused_or_old() {
        let mut tokens = Tokens::default();
        tokens.add(code(1), KIND, "ada".into(), [0; 32], Duration::ZERO);
        let mut at = |seconds| {
            let used = tokens.use_up(&code(1), KIND, Duration::from_secs(seconds));
            used.is_some()
        };
        assert_eq!([9, 18, 24, 25].map(&mut at), [true, true, true, false]);
        tokens.add(code(2), KIND, "ada".into(), [0; 32], Duration::ZERO);
        assert!(
            tokens
                .use_up(&code(2), KIND, Duration::from_secs(10))
                .is_none()
        );
        let other = TokenKind {
            name: "other",
            ..KIND
        };
        assert!(tokens.use_up(&code(2), other, Duration::ZERO).is_none());
        tokens.end(&code(2), KIND);
        assert!(tokens.use_up(&code(2), KIND, Duration::ZERO).is_none());
    }

    #[test]
    fn an_account_pushes_out_only_its_own() {
        let mut tokens = Tokens::default();
        tokens.add(code(0), KIND, "bob".into(), [0; 32], Duration::ZERO);
        for number in 1..=TOKENS_EACH + 1 {
            let now = Duration::from_millis(number as u64);
            tokens.add(code(number), KIND, "ada".into(), [0; 32], now);
        }
        let mut is_there = |number| tokens.use_up(&code(number), KIND, Duration::ZERO).is_some();
        assert!(is_there(0) && !is_there(1) && is_there(2));
        assert_eq!(tokens.by_code.len(), TOKENS_EACH + 1);
    }
}

//! Who asked for what a record says.

use alloc::sync::Arc;

/// Who asked for what a record says, as far as its frontend knew.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Actor {
    /// The account that was logged in. None: nobody had to log in.
    pub account: Option<Arc<str>>,
    /// The name of the access token that proved the account, if one did. Without an account: of the
    /// link that let somebody watch the session ([`link`](Self::link)).
    pub token: Option<Arc<str>>,
    /// The frontend that was used, by name.
    pub frontend: Arc<str>,
    /// The network address and port of the client, if there is one.
    pub address: Option<Arc<str>>,
}

impl Actor {
    /// Its texts, with their names in errors.
    pub(crate) fn texts(&self) -> impl Iterator<Item = (&'static str, &str)> {
        let Self {
            account,
            token,
            frontend,
            address,
        } = self;
        let optional = [
            ("account", account),
            ("access token", token),
            ("address", address),
        ];
        let optional = optional
            .into_iter()
            .filter_map(|(what, text)| Some((what, &**text.as_ref()?)));
        optional.chain([("frontend", &**frontend)])
    }

    /// The link by which somebody without an account watches the session, by its public name.
    #[must_use]
    pub fn link(&self) -> Option<&Arc<str>> {
        match self.account {
            None => self.token.as_ref(),
            Some(_) => None,
        }
    }

    /// The bytes of its texts.
    #[must_use]
    pub fn text_bytes(&self) -> usize {
        self.texts().map(|(_, text)| text.len()).sum()
    }
}

//! The operating system's user that the server runs as.

use std::sync::Arc;

/// Its name, or its number if it has no name. Blocks.
pub(crate) fn server_user() -> Arc<str> {
    #[cfg(unix)]
    {
        let id = rustix::process::geteuid().as_raw();
        let passwd = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
        if let Some(name) = name_of(id, &passwd) {
            return name.into();
        }
        // A user of a directory service is not in the file, but the login has set the variables.
        named_by_environment(&["USER", "LOGNAME"]).unwrap_or_else(|| id.to_string().into())
    }
    #[cfg(not(unix))]
    named_by_environment(&["USERNAME"]).unwrap_or_else(|| "local".into())
}

fn named_by_environment(variables: &[&str]) -> Option<Arc<str>> {
    let mut values = variables.iter().filter_map(|name| std::env::var(name).ok());
    values.find(|name| !name.is_empty()).map(Into::into)
}

/// The name of a user in the text of `/etc/passwd` (passwd(5)).
#[cfg(unix)]
fn name_of(id: u32, passwd: &str) -> Option<&str> {
    let mut users = passwd.lines().filter_map(|line| {
        let mut fields = line.split(':');
        let (name, _password, user) = (fields.next()?, fields.next()?, fields.next()?);
        let is_it = !name.is_empty() && user.parse() == Ok(id);
        is_it.then_some(name)
    });
    users.next()
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[test]
    fn a_user_is_found_by_its_number_alone() {
        let passwd =
            "root:x:0:0:root:/root:/bin/sh\n\n# x\nada:x:1000:100::/home/ada:/bin/sh\n::7\n";
        assert_eq!(name_of(0, passwd), Some("root"));
        assert_eq!(name_of(1000, passwd), Some("ada"));
        for nobody in [100, 7, 1] {
            assert_eq!(name_of(nobody, passwd), None, "{nobody}");
        }
        assert!(!server_user().is_empty());
    }
}

//! `[frontends.NAME]` in a file: the settings that begin with a frontend's name, as a table of its
//! own. `[frontends.doris] listen = …` is `doris-listen = …`; who says both has said one thing twice.

use super::{DorisColumns, Settings};
use serde::Deserialize;
use std::net::SocketAddr;

/// The tables.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Frontends {
    maxscale: Frontend,
    doris: Doris,
    operate: Frontend,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Frontend {
    listen: Option<SocketAddr>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Doris {
    listen: Option<SocketAddr>,
    columns: Option<DorisColumns>,
}

impl Settings {
    /// The same settings without tables; fails with the name of a setting that is said twice.
    pub(super) fn without_tables(mut self) -> Result<Self, &'static str> {
        let Frontends {
            maxscale,
            doris,
            operate,
        } = std::mem::take(&mut self.frontends);
        once(
            "maxscale-listen",
            &mut self.maxscale_listen,
            maxscale.listen,
        )?;
        once("doris-listen", &mut self.doris_listen, doris.listen)?;
        once("doris-columns", &mut self.doris_columns, doris.columns)?;
        once("operate-listen", &mut self.operate_listen, operate.listen)?;
        Ok(self)
    }
}

fn once<T>(
    name: &'static str,
    said: &mut Option<T>,
    in_table: Option<T>,
) -> Result<(), &'static str> {
    if said.is_some() && in_table.is_some() {
        return Err(name);
    }
    *said = said.take().or(in_table);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(text: &str) -> Result<Settings, &'static str> {
        toml::from_str::<Settings>(text).unwrap().without_tables()
    }

    #[test]
    fn a_table_of_a_frontend_says_what_the_settings_with_its_name_say() {
        let tables = said(
            "[frontends.maxscale]\nlisten = '127.0.0.1:8989'\n\
             [frontends.doris]\nlisten = '127.0.0.1:8030'\ncolumns = 'newer'\n\
             [frontends.operate]\nlisten = '127.0.0.1:9563'\n",
        );
        let flat = said(
            "maxscale-listen = '127.0.0.1:8989'\n\
             doris-listen = '127.0.0.1:8030'\ndoris-columns = 'newer'\n\
             operate-listen = '127.0.0.1:9563'\n",
        );
        assert_eq!(
            format!("{:?}", tables.unwrap()),
            format!("{:?}", flat.unwrap())
        );
    }

    #[test]
    fn a_setting_that_is_said_twice_is_named() {
        let twice = "doris-listen = '127.0.0.1:1'\n[frontends.doris]\nlisten = '127.0.0.1:2'\n";
        assert_eq!(said(twice).unwrap_err(), "doris-listen");
    }

    #[test]
    fn a_table_says_nothing_else() {
        for (wrong, name) in [
            ("[frontends.arthas]\nlisten = '127.0.0.1:1'", "arthas"),
            ("[frontends.maxscale]\ncolumns = 'newer'", "columns"),
        ] {
            let error = toml::from_str::<Settings>(wrong).unwrap_err().to_string();
            assert!(error.contains(name), "{error}");
        }
    }
}

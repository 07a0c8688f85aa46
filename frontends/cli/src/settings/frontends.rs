//! `[frontends.NAME]` in a settings file: a table with the settings whose names begin with NAME.
//! `[frontends.doris] listen = …` is `doris-listen = …`; setting both is an error.

use super::{Address, DorisColumns, Settings};
use rejoin_accounts::Role;
use serde::Deserialize;

/// The tables.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Frontends {
    arthas: Arthas,
    maxscale: Frontend,
    doris: Doris,
    mcp: Mcp,
    #[serde(alias = "operate")]
    admin: Frontend,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Frontend {
    listen: Option<Address>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Arthas {
    service: Option<String>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Doris {
    listen: Option<Address>,
    columns: Option<DorisColumns>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Mcp {
    services: Option<Vec<String>>,
    role: Option<Role>,
}

impl Settings {
    /// Merges the tables into the settings; fails with the name of a setting that is set twice.
    pub(super) fn without_tables(mut self) -> Result<Self, &'static str> {
        let Frontends {
            arthas,
            maxscale,
            doris,
            mcp,
            admin,
        } = std::mem::take(&mut self.frontends);
        once(
            "maxscale-listen",
            &mut self.maxscale_listen,
            maxscale.listen,
        )?;
        once("arthas-service", &mut self.arthas_service, arthas.service)?;
        once("doris-listen", &mut self.doris_listen, doris.listen)?;
        once("doris-columns", &mut self.doris_columns, doris.columns)?;
        once("mcp-services", &mut self.mcp_services, mcp.services)?;
        once("mcp-role", &mut self.mcp_role, mcp.role)?;
        once("admin-listen", &mut self.admin_listen, admin.listen)?;
        Ok(self)
    }
}

fn once<T>(
    name: &'static str,
    setting: &mut Option<T>,
    in_table: Option<T>,
) -> Result<(), &'static str> {
    if setting.is_some() && in_table.is_some() {
        return Err(name);
    }
    *setting = setting.take().or(in_table);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Settings, &'static str> {
        toml::from_str::<Settings>(text).unwrap().without_tables()
    }

    #[test]
    fn a_table_of_a_frontend_is_the_same_as_settings_with_its_name() {
        let tables = read(
            "[frontends.maxscale]\nlisten = '127.0.0.1:8989'\n\
             [frontends.doris]\nlisten = '127.0.0.1:8030'\ncolumns = 'newer'\n\
             [frontends.arthas]\nservice = 'orders'\n\
             [frontends.mcp]\nservices = ['shell']\nrole = 'operator'\n\
             [frontends.admin]\nlisten = '127.0.0.1:9563'\n",
        );
        let flat = read(
            "maxscale-listen = '127.0.0.1:8989'\n\
             doris-listen = '127.0.0.1:8030'\ndoris-columns = 'newer'\n\
             arthas-service = 'orders'\n\
             mcp-services = ['shell']\nmcp-role = 'operator'\n\
             admin-listen = '127.0.0.1:9563'\n",
        );
        assert_eq!(
            format!("{:?}", tables.unwrap()),
            format!("{:?}", flat.unwrap())
        );
    }

    #[test]
    fn the_admin_table_can_have_its_old_name() {
        let settings = read("[frontends.operate]\nlisten = '127.0.0.1:9563'\n").unwrap();
        assert_eq!(settings.admin_listen().unwrap().tcp().unwrap().port(), 9563);
    }

    #[test]
    fn a_setting_that_is_set_twice_is_named() {
        let twice = "doris-listen = '127.0.0.1:1'\n[frontends.doris]\nlisten = '127.0.0.1:2'\n";
        assert_eq!(read(twice).unwrap_err(), "doris-listen");
    }

    #[test]
    fn a_table_has_no_other_settings() {
        for (wrong, name) in [
            ("[frontends.arthas]\nlisten = '127.0.0.1:1'", "listen"),
            ("[frontends.native]\nlisten = '127.0.0.1:1'", "native"),
            ("[frontends.maxscale]\ncolumns = 'newer'", "columns"),
        ] {
            let error = toml::from_str::<Settings>(wrong).unwrap_err().to_string();
            assert!(error.contains(name), "{error}");
        }
    }
}

//! A PostgreSQL to measure on.

use sea_orm::{ConnectionTrait, Database};
use shared::ids;

/// A database of its own, on the server that `GATEPOST_TEST_POSTGRES` names.
pub struct PostgresDatabase {
    server: String,
    name: String,
    /// How to connect to it.
    pub url: String,
}

impl PostgresDatabase {
    /// Creates one; `None` when no server answers.
    ///
    /// # Errors
    /// When the server does not let a database be created.
    pub async fn create() -> anyhow::Result<Option<Self>> {
        let server = std::env::var_os("GATEPOST_TEST_POSTGRES").map_or_else(
            || "postgres://root@127.0.0.1:5432/postgres".to_owned(),
            |value| value.to_string_lossy().into_owned(),
        );
        let Ok(admin) = Database::connect(&server).await else { return Ok(None) };
        let name = format!("gatepost_bench_{}", ids::next().simple());
        admin.execute_unprepared(&format!("CREATE DATABASE {name}")).await?;
        admin.close().await?;
        let mut url = url::Url::parse(&server)?;
        url.set_path(&name);
        Ok(Some(Self { server, name, url: url.into() }))
    }

    /// Its name, which nothing else has.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// How to connect to it without TLS.
    ///
    /// # Errors
    /// When what `GATEPOST_TEST_POSTGRES` names is no URL.
    pub fn url_without_tls(&self) -> anyhow::Result<String> {
        let mut url = url::Url::parse(&self.url)?;
        url.query_pairs_mut().append_pair("sslmode", "disable");
        Ok(url.into())
    }

    /// Removes it; whoever is still connected is cut off.
    ///
    /// # Errors
    /// When the server does not answer.
    pub async fn remove(self) -> anyhow::Result<()> {
        let admin = Database::connect(&self.server).await?;
        admin.execute_unprepared(&format!("DROP DATABASE {} WITH (FORCE)", self.name)).await?;
        Ok(admin.close().await?)
    }
}

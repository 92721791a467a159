//! Databases, roles and statements.

use std::fmt::Write;
use std::process::{Command, Stdio};
use std::sync::atomic::Ordering;

use crate::error::{Doing, Error};
use crate::server::Server;

/// The database that every server has.
const ADMIN_DATABASE: &str = "postgres";

/// What a role may do beside logging in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Right {
    /// `CREATEDB`
    CreateDatabases,
    /// `CREATEROLE`
    CreateRoles,
}

impl Server {
    /// Where the superuser finds a database.
    pub fn url(&self, database: &str) -> String {
        format!("postgres://postgres@127.0.0.1:{}/{database}", self.port())
    }

    /// Where another role finds a database.
    pub fn url_of(&self, role: &str, password: &str, database: &str) -> String {
        format!(
            "postgres://{}:{}@127.0.0.1:{}/{database}",
            percent_encoded(role),
            percent_encoded(password),
            self.port()
        )
    }

    /// Creates an empty database, UTF-8 and of locale C, and answers its URL.
    ///
    /// # Errors
    /// The server refuses.
    pub fn database(&self) -> Result<String, Error> {
        let name = format!("test_{}", self.databases.fetch_add(1, Ordering::Relaxed));
        self.admin(&format!(
            "CREATE DATABASE {name} TEMPLATE template0 STRATEGY file_copy"
        ))?;
        Ok(self.url(&name))
    }

    /// Drops the database that a URL names, and ends its connections.
    ///
    /// # Errors
    /// The server refuses, or there is no such database.
    pub fn drop_database(&self, url: &str) -> Result<(), Error> {
        let name = url.rsplit('/').next().unwrap_or(url);
        let name = name.split('?').next().unwrap_or(name);
        self.admin(&format!("DROP DATABASE {} WITH (FORCE)", identifier(name)))?;
        Ok(())
    }

    /// Creates a role that may log in with its password and no other way.
    ///
    /// # Errors
    /// The server refuses, or has this role.
    pub fn role_with_password(
        &self,
        name: &str,
        password: &str,
        rights: &[Right],
    ) -> Result<(), Error> {
        let mut sql = format!(
            "CREATE ROLE {} LOGIN PASSWORD {}",
            identifier(name),
            literal(password)
        );
        for right in rights {
            sql.push_str(match right {
                Right::CreateDatabases => " CREATEDB",
                Right::CreateRoles => " CREATEROLE",
            });
        }
        self.admin(&sql)?;
        Ok(())
    }

    /// Runs SQL as the superuser, in the database `postgres`.
    ///
    /// # Errors
    /// What psql said, if the server refuses.
    pub fn admin(&self, sql: &str) -> Result<String, Error> {
        self.psql(&self.url(ADMIN_DATABASE), sql)
    }

    /// Runs SQL and answers its rows, one per line, with `|` between columns. Several
    /// statements are one transaction.
    ///
    /// # Errors
    /// What psql said, if the server refuses the connection or a statement.
    pub fn psql(&self, url: &str, sql: &str) -> Result<String, Error> {
        let output = Command::new(&self.binaries.psql)
            .args(["-X", "-A", "-t", "-q", "-w", "-v", "ON_ERROR_STOP=1"])
            .args(["-d", url, "-c", sql])
            .env_clear()
            .stdin(Stdio::null())
            .output()
            .doing("run psql")?;
        if output.status.success() {
            Ok(text(&output.stdout))
        } else {
            Err(Error::Refused(text(&output.stderr)))
        }
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).trim_end().to_owned()
}

fn identifier(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

fn percent_encoded(text: &str) -> String {
    text.bytes().fold(String::new(), |mut encoded, byte| {
        if byte.is_ascii_alphanumeric() {
            encoded.push(byte.into());
        } else {
            let _ = write!(encoded, "%{byte:02X}");
        }
        encoded
    })
}

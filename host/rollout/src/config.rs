//! Configuration: `rollout.toml`, then environment variables.
//!
//! `rollout.default.toml` is the manual; a test holds it equal to the defaults
//! in the code. Every mistake is found before a port opens, and named with its
//! key, what is wrong, and a right example.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rollout_sandbox::Limits;
use rollout_store::Location;
use serde::{Deserialize, Serialize};
use toml::{Table, Value};

/// The manual of all settings.
pub(crate) const MANUAL: &str = include_str!("../rollout.default.toml");

/// Prefix of environment variables that set a key.
const PREFIX: &str = "ROLLOUT__";

/// Everything that can be configured.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Config {
    pub(crate) server: Server,
    pub(crate) control: Control,
    pub(crate) keys: Keys,
    pub(crate) database: Database,
    pub(crate) work: Work,
    pub(crate) connectors: Connectors,
    pub(crate) auth: Auth,
    pub(crate) oauth: OAuth,
    pub(crate) link: Link,
    pub(crate) api: Api,
    pub(crate) sync: Sync,
    pub(crate) webhooks: Webhooks,
    pub(crate) egress: Egress,
    pub(crate) sandbox: Limits,
    pub(crate) log: Log,
    pub(crate) dev: Dev,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Server {
    pub(crate) listen: String,
    pub(crate) public_url: String,
    pub(crate) body_bytes: usize,
    #[serde(with = "humantime_serde")]
    pub(crate) header_read_timeout: Duration,
    pub(crate) cors_origins: Vec<String>,
    pub(crate) core_dumps: bool,
}

impl Default for Server {
    fn default() -> Self {
        Self {
            listen: "127.0.0.1:8080".into(),
            public_url: String::new(),
            body_bytes: 2 * 1024 * 1024,
            header_read_timeout: Duration::from_secs(10),
            cors_origins: vec!["*".into()],
            core_dumps: false,
        }
    }
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Control {
    pub(crate) database_url: String,
}

/// Where master keys come from: the one that is set, or else `DATA/master.key`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Keys {
    pub(crate) file: PathBuf,
    pub(crate) variable: String,
    pub(crate) command: Vec<String>,
    #[serde(with = "humantime_serde")]
    pub(crate) command_timeout: Duration,
}

impl Default for Keys {
    fn default() -> Self {
        Self {
            file: PathBuf::new(),
            variable: String::new(),
            command: Vec::new(),
            command_timeout: Duration::from_secs(10),
        }
    }
}

impl Keys {
    /// How many sources are set.
    fn sources(&self) -> usize {
        let set = [
            !self.file.as_os_str().is_empty(),
            !self.variable.is_empty(),
            !self.command.is_empty(),
        ];
        set.into_iter().filter(|set| *set).count()
    }
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Database {
    pub(crate) connections_per_environment: u32,
    pub(crate) connections_per_server: usize,
}

impl Default for Database {
    fn default() -> Self {
        Self {
            connections_per_environment: 5,
            connections_per_server: 60,
        }
    }
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Work {
    #[serde(with = "humantime_serde")]
    pub(crate) lease: Duration,
    #[serde(with = "humantime_serde")]
    pub(crate) renew: Duration,
    #[serde(with = "humantime_serde")]
    pub(crate) settle_patience: Duration,
    #[serde(with = "humantime_serde")]
    pub(crate) keep_events: Duration,
    #[serde(with = "humantime_serde")]
    pub(crate) keep_writes: Duration,
    #[serde(with = "humantime_serde")]
    pub(crate) keep_outbound_calls: Duration,
    pub(crate) most_outbound_calls: u32,
}

impl Default for Work {
    fn default() -> Self {
        const DAY: u64 = 24 * 3600;
        Self {
            lease: Duration::from_secs(15),
            renew: Duration::from_secs(5),
            settle_patience: Duration::from_secs(30),
            keep_events: Duration::from_secs(30 * DAY),
            keep_writes: Duration::from_secs(DAY),
            keep_outbound_calls: Duration::from_secs(3 * DAY),
            most_outbound_calls: 1_000_000,
        }
    }
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Connectors {
    pub(crate) dirs: Vec<PathBuf>,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Auth {
    pub(crate) default_environment: String,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct OAuth {
    /// Empty: this host's own.
    pub(crate) redirect_url: String,
    /// By environment.
    pub(crate) redirect_urls: BTreeMap<String, String>,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Link {
    pub(crate) frame_ancestors: Vec<String>,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Api {
    /// 0: no limit.
    pub(crate) requests_per_second: u32,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Sync {
    #[serde(with = "humantime_serde")]
    pub(crate) poll_interval: Duration,
    #[serde(with = "humantime_serde")]
    pub(crate) full_pass_interval: Duration,
    pub(crate) page_records: u32,
    pub(crate) parallel: usize,
    #[serde(with = "humantime_serde")]
    pub(crate) retry_first: Duration,
    #[serde(with = "humantime_serde")]
    pub(crate) retry_longest: Duration,
    pub(crate) failed_after: u32,
    pub(crate) connectors: BTreeMap<String, Interval>,
    pub(crate) environments: BTreeMap<String, Interval>,
}

/// A time between two polls.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct Interval(#[serde(with = "humantime_serde")] pub(crate) Duration);

impl Default for Sync {
    fn default() -> Self {
        Self {
            poll_interval: Duration::from_secs(60),
            full_pass_interval: Duration::from_secs(24 * 3600),
            page_records: 500,
            parallel: 8,
            retry_first: Duration::from_secs(5),
            retry_longest: Duration::from_secs(600),
            failed_after: 8,
            connectors: BTreeMap::new(),
            environments: BTreeMap::new(),
        }
    }
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Webhooks {
    pub(crate) schedule: Vec<Interval>,
    #[serde(with = "humantime_serde")]
    pub(crate) disable_after: Duration,
    pub(crate) allowed_private: Vec<String>,
    pub(crate) parallel: usize,
    #[serde(with = "humantime_serde")]
    pub(crate) connect_timeout: Duration,
    #[serde(with = "humantime_serde")]
    pub(crate) head_timeout: Duration,
    #[serde(with = "humantime_serde")]
    pub(crate) body_timeout: Duration,
}

impl Default for Webhooks {
    fn default() -> Self {
        const HOUR: u64 = 3600;
        let seconds = [0, 5, 60, 300, 1800, 2 * HOUR, 4 * HOUR, 6 * HOUR];
        Self {
            schedule: seconds.map(|one| Interval(Duration::from_secs(one))).into(),
            disable_after: Duration::from_secs(5 * 24 * HOUR),
            allowed_private: Vec::new(),
            parallel: 256,
            connect_timeout: Duration::from_secs(5),
            head_timeout: Duration::from_secs(10),
            body_timeout: Duration::from_secs(5),
        }
    }
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Egress {
    #[serde(with = "humantime_serde")]
    pub(crate) timeout: Duration,
    pub(crate) request_bytes: usize,
    pub(crate) response_bytes: u64,
    pub(crate) call_requests: u32,
    pub(crate) call_parallel: usize,
    pub(crate) call_response_bytes: u64,
}

impl Default for Egress {
    fn default() -> Self {
        const MIB: usize = 1024 * 1024;
        Self {
            timeout: Duration::from_secs(30),
            request_bytes: 8 * MIB,
            response_bytes: 8 * MIB as u64,
            call_requests: 1000,
            call_parallel: 20,
            call_response_bytes: 16 * MIB as u64,
        }
    }
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Log {
    pub(crate) level: String,
    pub(crate) format: LogFormat,
}

impl Default for Log {
    fn default() -> Self {
        Self {
            level: "info".into(),
            format: LogFormat::Text,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum LogFormat {
    Text,
    Json,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Dev {
    pub(crate) enabled: bool,
    pub(crate) rate_limits: bool,
    pub(crate) upstreams: BTreeMap<String, String>,
}

impl Default for Dev {
    fn default() -> Self {
        Self {
            enabled: false,
            rate_limits: true,
            upstreams: BTreeMap::new(),
        }
    }
}

/// Why the configuration can't be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConfigError {
    #[error("{path}: {reason}")]
    File { path: String, reason: String },
    #[error("{source_name}: {key}: {problem}{}", example(key))]
    Key {
        source_name: String,
        key: String,
        problem: String,
    },
}

/// The line of the manual for a key, as the right example.
fn example(key: &str) -> String {
    let mut section = "";
    for line in MANUAL.lines() {
        if let Some(name) = line.strip_prefix('[').and_then(|l| l.strip_suffix(']')) {
            section = name;
        } else if let Some((name, _)) = line.split_once(" = ")
            && key.strip_prefix(section).and_then(|k| k.strip_prefix('.')) == Some(name)
        {
            return format!("; for example, under [{section}]: {line}");
        }
    }
    "; `rollout config print` lists all keys".to_owned()
}

impl Config {
    /// Reads the file (the default `./rollout.toml` only if it is there), lays
    /// environment variables over it and checks what can be checked.
    pub(crate) fn load(
        file: Option<&Path>,
        variables: impl Iterator<Item = (String, String)>,
    ) -> Result<Self, ConfigError> {
        let (mut table, mut source) = match read(file)? {
            Some((text, path)) => (parse(&text, &path)?, path),
            None => (Table::new(), "configuration".to_owned()),
        };
        for (name, text) in variables {
            if let Some(key) = name.strip_prefix(PREFIX) {
                let path: Vec<String> = key.split("__").map(str::to_lowercase).collect();
                overlay(&mut table, &path, &name, &text)?;
                source = format!("{source} and {PREFIX}… variables");
            }
        }
        let config: Self =
            serde_path_to_error::deserialize(Value::Table(table)).map_err(|error| {
                let key = error.path().to_string();
                ConfigError::Key {
                    source_name: source.clone(),
                    key,
                    problem: error.inner().message().trim().replace('\n', " "),
                }
            })?;
        config.check(&source)?;
        Ok(config)
    }

    /// Checks what types alone do not.
    pub(crate) fn check(&self, source: &str) -> Result<(), ConfigError> {
        let wrong = |key: &str, problem: String| {
            Err(ConfigError::Key {
                source_name: source.to_owned(),
                key: key.to_owned(),
                problem,
            })
        };
        if self.server.listen.parse::<std::net::SocketAddr>().is_err() {
            return wrong(
                "server.listen",
                format!("`{}` is not ADDRESS:PORT", self.server.listen),
            );
        }
        if !self.server.public_url.is_empty() && !is_origin(&self.server.public_url) {
            return wrong(
                "server.public_url",
                format!(
                    "`{}` is not like https://universal.example.com",
                    self.server.public_url
                ),
            );
        }
        let own = &self.oauth.redirect_url;
        if !own.is_empty() && !is_address(own) {
            return wrong("oauth.redirect_url", not_an_address(own));
        }
        let mut of_environments = self.oauth.redirect_urls.iter();
        if let Some((name, url)) = of_environments.find(|(_, url)| !is_address(url)) {
            let key = format!("oauth.redirect_urls.{name}");
            return wrong(&key, not_an_address(url));
        }
        let mut ancestors = self.link.frame_ancestors.iter();
        if let Some(one) = ancestors.find(|one| !is_frame_ancestor(one)) {
            return wrong(
                "link.frame_ancestors",
                format!("`{one}` is neither 'self' nor an origin"),
            );
        }
        let mut origins = self.server.cors_origins.iter();
        if let Some(one) = origins.find(|one| *one != "*" && !is_exact_origin(one)) {
            return wrong(
                "server.cors_origins",
                format!("`{one}` is not as browsers write an origin: https://app.example.com"),
            );
        }
        if self.sync.page_records == 0 || self.sync.page_records > 5000 {
            return wrong("sync.page_records", "must be 1 to 5000".into());
        }
        if self.sync.parallel == 0 {
            return wrong("sync.parallel", "must be at least 1".into());
        }
        if self.sync.poll_interval < Duration::from_millis(100) {
            return wrong("sync.poll_interval", "must be at least 100ms".into());
        }
        if self.sync.full_pass_interval < Duration::from_millis(100) {
            return wrong("sync.full_pass_interval", "must be at least 100ms".into());
        }
        let particular = [
            ("connectors", &self.sync.connectors),
            ("environments", &self.sync.environments),
        ];
        for (table, intervals) in particular {
            let mut short = intervals
                .iter()
                .filter(|(_, interval)| interval.0 < Duration::from_millis(100));
            if let Some((name, _)) = short.next() {
                let key = format!("sync.{table}.{name}");
                return wrong(&key, "must be at least 100ms".into());
            }
        }
        if self.webhooks.schedule.is_empty() {
            return wrong("webhooks.schedule", "must have at least one delay".into());
        }
        if self.webhooks.parallel == 0 {
            return wrong("webhooks.parallel", "must be at least 1".into());
        }
        for entry in &self.webhooks.allowed_private {
            if let Err(error) = entry.parse::<rollout_egress::Private>() {
                return wrong("webhooks.allowed_private", error.to_string());
            }
        }
        if !self.control.database_url.is_empty() {
            match Location::parse(&self.control.database_url) {
                Ok(Location::Postgres(_)) => {}
                // Its lock is the data directory's: no other host may have it.
                Ok(Location::File(_)) => {
                    return wrong(
                        "control.database_url",
                        "is a file: leave it empty for DATA/control.sqlite, which is one host's, \
                         or name a database that several can share, postgres://USER:PASSWORD@HOST:5432/DATABASE"
                            .into(),
                    );
                }
                Err(error) => return wrong("control.database_url", error.to_string()),
            }
        }
        if self.keys.sources() > 1 {
            return wrong(
                "keys.command",
                "master keys have one source: set one of keys.file, keys.variable and keys.command"
                    .into(),
            );
        }
        if self.keys.variable.starts_with(PREFIX) {
            return wrong(
                "keys.variable",
                format!("names that begin with {PREFIX} are settings: take another one"),
            );
        }
        if self.database.connections_per_environment < 2 {
            return wrong(
                "database.connections_per_environment",
                "must be at least 2".into(),
            );
        }
        if self.database.connections_per_server < 4 {
            return wrong(
                "database.connections_per_server",
                "must be at least 4".into(),
            );
        }
        if self.work.lease < Duration::from_millis(500) {
            return wrong("work.lease", "must be at least 500ms".into());
        }
        if self.work.renew * 2 > self.work.lease || self.work.renew.is_zero() {
            return wrong("work.renew", "must be at most half of work.lease".into());
        }
        if self.sandbox.calls < 4 {
            return wrong("sandbox.calls", "must be at least 4".into());
        }
        if self.sandbox.memory > self.sandbox.largest_memory {
            return wrong("sandbox.memory", "is above sandbox.largest_memory".into());
        }
        let too_much = self.sandbox.connectors.iter().find(|(_, different)| {
            different.memory.unwrap_or_default() > self.sandbox.largest_memory
        });
        if let Some((key, _)) = too_much {
            return wrong(
                &format!("sandbox.connectors.{key}.memory"),
                "is above sandbox.largest_memory".into(),
            );
        }
        if !self.dev.upstreams.is_empty() && !self.dev.enabled {
            return wrong(
                "dev.enabled",
                "dev.upstreams has entries, and they only work with `enabled = true`".into(),
            );
        }
        for (from, to) in &self.dev.upstreams {
            if !is_origin(from) || !from.starts_with("https://") {
                return wrong(
                    "dev.upstreams",
                    format!("`{from}` is not an origin like https://api.example.com"),
                );
            }
            if !is_origin(to) {
                return wrong(
                    "dev.upstreams",
                    format!("`{to}` is not an origin like http://127.0.0.1:9101"),
                );
            }
        }
        Ok(())
    }

    /// The effective configuration as TOML.
    pub(crate) fn print(&self) -> Result<String, toml::ser::Error> {
        toml::to_string_pretty(self)
    }

    /// How the outside reaches this host, without a slash at the end.
    pub(crate) fn public_url(&self) -> String {
        if self.server.public_url.is_empty() {
            format!("http://{}", self.server.listen)
        } else {
            self.server.public_url.trim_end_matches('/').to_owned()
        }
    }
}

/// Whether people can be sent there with parameters.
fn is_address(text: &str) -> bool {
    url::Url::parse(text).is_ok_and(|url| {
        matches!(url.scheme(), "http" | "https")
            && url.host().is_some()
            && url.query().is_none()
            && url.fragment().is_none()
            && url.username().is_empty()
    })
}

fn not_an_address(text: &str) -> String {
    format!("`{text}` is not like https://connect.example.com/api/oauth/redirect")
}

/// Whether `Content-Security-Policy` can have it: `'self'`, or an origin, with `*.` for
/// all hosts below one.
fn is_frame_ancestor(text: &str) -> bool {
    let (scheme, host) = text.split_once("://").unwrap_or_default();
    let host = host.strip_prefix("*.").unwrap_or(host);
    text == "'self'" || is_exact_origin(&format!("{scheme}://{host}"))
}

/// Whether browsers write an origin like this: lower case, no default port, no slash.
fn is_exact_origin(text: &str) -> bool {
    is_origin(text)
        && url::Url::parse(text).is_ok_and(|url| url.origin().ascii_serialization() == text)
}

fn is_origin(text: &str) -> bool {
    url::Url::parse(text).is_ok_and(|url| {
        matches!(url.scheme(), "http" | "https")
            && url.host().is_some()
            && url.path() == "/"
            && url.query().is_none()
            && url.fragment().is_none()
            && url.username().is_empty()
    })
}

fn read(file: Option<&Path>) -> Result<Option<(String, String)>, ConfigError> {
    let (path, required) = match file {
        Some(path) => (path, true),
        None => (Path::new("rollout.toml"), false),
    };
    let name = path.display().to_string();
    match std::fs::read_to_string(path) {
        Ok(text) => Ok(Some((text, name))),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound && !required => Ok(None),
        Err(error) => Err(ConfigError::File {
            path: name,
            reason: error.to_string(),
        }),
    }
}

fn parse(text: &str, path: &str) -> Result<Table, ConfigError> {
    text.parse::<Table>().map_err(|error| {
        let line = error
            .span()
            .and_then(|span| text.get(..span.start))
            .map_or(1, |before| before.matches('\n').count() + 1);
        ConfigError::File {
            path: path.to_owned(),
            reason: format!("line {line}: {}", error.message().replace('\n', " ")),
        }
    })
}

/// Sets one key from a variable. Text that is a TOML value is taken as one;
/// anything else is a string.
fn overlay(table: &mut Table, path: &[String], name: &str, text: &str) -> Result<(), ConfigError> {
    let wrong = |problem: &str| ConfigError::Key {
        source_name: name.to_owned(),
        key: path.join("."),
        problem: problem.to_owned(),
    };
    let Some((last, sections)) = path.split_last() else {
        return Err(wrong("names no key"));
    };
    let mut place = table;
    for section in sections {
        let inner = place
            .entry(section.clone())
            .or_insert_with(|| Value::Table(Table::new()));
        place = inner
            .as_table_mut()
            .ok_or_else(|| wrong("names a key inside one that is no section"))?;
    }
    let value = format!("v = {text}")
        .parse::<Table>()
        .ok()
        .and_then(|mut table| table.remove("v"))
        .unwrap_or_else(|| Value::String(text.to_owned()));
    place.insert(last.clone(), value);
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]
    use super::*;

    fn load(text: &str, variables: &[(&str, &str)]) -> Result<Config, String> {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("rollout.toml");
        std::fs::write(&file, text).unwrap();
        let variables = variables
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        Config::load(Some(&file), variables).map_err(|error| error.to_string())
    }

    #[test]
    fn the_manual_holds_the_defaults() {
        let manual: Config = toml::from_str(MANUAL).unwrap();
        assert_eq!(manual, Config::default());
        // Every key of the code is in the manual.
        let all: Table = Config::default().print().unwrap().parse().unwrap();
        let told: Table = MANUAL.parse().unwrap();
        for (section, keys) in &all {
            for key in keys.as_table().unwrap().keys() {
                assert!(told[section].get(key).is_some(), "{section}.{key}");
            }
        }
    }

    #[test]
    fn variables_set_every_kind_of_key() {
        let config = load(
            "",
            &[
                ("ROLLOUT__SYNC__POLL_INTERVAL", "5s"),
                ("ROLLOUT__SYNC__PAGE_RECORDS", "100"),
                ("ROLLOUT__DEV__ENABLED", "true"),
                (
                    "ROLLOUT__DEV__UPSTREAMS",
                    r#"{"https://api.example.com" = "http://127.0.0.1:9"}"#,
                ),
                ("ROLLOUT__SERVER__LISTEN", "127.0.0.1:1"),
            ],
        )
        .unwrap();
        assert_eq!(config.sync.poll_interval, Duration::from_secs(5));
        assert_eq!(config.sync.page_records, 100);
        assert_eq!(config.dev.upstreams.len(), 1);
        assert_eq!(config.server.listen, "127.0.0.1:1");
    }

    #[test]
    fn mistakes_name_key_problem_and_example() {
        for (text, key, example) in [
            (
                "[sync]\npoll_interval = \"soon\"",
                "sync.poll_interval",
                "poll_interval = \"60s\"",
            ),
            (
                "[sync]\npage_records = 0",
                "sync.page_records",
                "page_records = 500",
            ),
            (
                "[sync]\npage_records = \"x\"",
                "sync.page_records",
                "page_records = 500",
            ),
            (
                "[server]\nlisten = \"here\"",
                "server.listen",
                "listen = \"127.0.0.1:8080\"",
            ),
            ("[server]\nlissten = \"x\"", "lissten", ""),
            (
                "[dev.upstreams]\n\"https://a.example\" = \"http://127.0.0.1:1\"",
                "dev.enabled",
                "enabled = false",
            ),
            (
                "[dev]\nenabled = true\n[dev.upstreams]\n\"a.example\" = \"http://127.0.0.1:1\"",
                "dev.upstreams",
                "",
            ),
            (
                "[keys]\nvariable = \"MASTER\"\ncommand = [\"keys\"]",
                "keys.command",
                "command = []",
            ),
            (
                "[keys]\nvariable = \"ROLLOUT__X\"",
                "keys.variable",
                "variable = \"\"",
            ),
            (
                "[link]\nframe_ancestors = [\"https://a.example; script-src *\"]",
                "link.frame_ancestors",
                "frame_ancestors = []",
            ),
            (
                "[server]\ncors_origins = [\"https://App.example.com/\"]",
                "server.cors_origins",
                "cors_origins = [\"*\"]",
            ),
            ("[sync\n", "line 1", ""),
        ] {
            let error = load(text, &[]).unwrap_err();
            assert!(error.contains(key), "{text}: {error}");
            assert!(error.contains(example), "{text}: {error}");
            assert!(!error.contains('\n'), "{error}");
        }
    }

    #[test]
    fn origins_are_as_browsers_write_them() {
        for good in [
            "'self'",
            "https://app.example.com",
            "https://*.example.com:8443",
        ] {
            assert!(is_frame_ancestor(good), "{good}");
        }
        for bad in [
            "*",
            "self",
            "app.example.com",
            "https://a.example/",
            "'none'",
            "",
        ] {
            assert!(!is_frame_ancestor(bad), "{bad}");
        }
        let origins =
            "[server]\ncors_origins = [\"https://app.example.com\", \"http://localhost:3000\"]";
        assert!(load(origins, &[]).is_ok());
    }

    #[test]
    fn a_connector_has_limits_of_its_own() {
        let text = "[sandbox.connectors.js-hello]\nmemory = 134217728\ncpu = \"5s\"";
        let config = load(text, &[]).unwrap();
        let own = config.sandbox.of("js-hello");
        assert_eq!((own.memory, own.cpu), (134_217_728, Duration::from_secs(5)));
        assert_eq!(own.wall, config.sandbox.wall);
        assert_eq!(
            config.sandbox.of("other").memory,
            Config::default().sandbox.memory
        );
        let error = load(&text.replace("134217728", "536870912"), &[]).unwrap_err();
        assert!(
            error.contains("sandbox.connectors.js-hello.memory"),
            "{error}"
        );
        let error = load(&text.replace("cpu", "cpus"), &[]).unwrap_err();
        assert!(
            error.contains("sandbox.connectors.js-hello.cpus"),
            "{error}"
        );
    }

    #[test]
    fn what_is_printed_is_what_is_read() {
        let mut config = Config::default();
        config.sync.poll_interval = Duration::from_millis(1500);
        let printed = config.print().unwrap();
        assert_eq!(toml::from_str::<Config>(&printed).unwrap(), config);
    }
}

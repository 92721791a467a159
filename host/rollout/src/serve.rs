//! `rollout serve`: opens everything in an order in which a failure leaves
//! nothing changed, serves, and drains when it is told to stop.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use cap_std::ambient_authority;
use cap_std::fs::Dir;
use rollout_catalog::Catalog;
use rollout_connectors::{
    Connectors, Environment, EnvironmentError, Environments, LoadDirError, Registry,
};
use rollout_egress::{CallLimits, Egress, EgressConfig};
use rollout_sandbox::Sandbox;
use rollout_server::edge::{Cors, EdgeOptions, Origins, ServeOptions, around};
use rollout_server::{Host, Settings, router};
use rollout_store::{Control, EnvStore};
use rollout_sync::Engine;
use rollout_vault::Vault;
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio::sync::watch;
use tracing_subscriber::EnvFilter;

use crate::commands::make_environment;
use crate::config::{Config, LogFormat};
use crate::data::DataDir;

/// The environment that the first `serve` makes.
const FIRST: &str = "dev";
/// How often the control database is looked at for what commands changed.
const LOOK: Duration = Duration::from_secs(1);

/// A runtime for commands that run connectors.
pub(crate) fn runtime() -> Result<Runtime> {
    Ok(tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?)
}

pub(crate) fn run(config: Config, data: &Path) -> Result<()> {
    log(&config)?;
    runtime()?.block_on(serve(config, data))
}

fn log(config: &Config) -> Result<()> {
    let filter = EnvFilter::try_new(&config.log.level).map_err(|error| {
        anyhow::anyhow!(
            "log.level: `{}` is no filter: {error}; for example: level = \"info\"",
            config.log.level
        )
    })?;
    let logger = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr);
    match config.log.format {
        LogFormat::Text => logger.init(),
        LogFormat::Json => logger.json().init(),
    }
    Ok(())
}

async fn serve(config: Config, path: &Path) -> Result<()> {
    let listener = TcpListener::bind(&config.server.listen)
        .await
        .with_context(|| format!("can't listen on {}", config.server.listen))?;
    let data = DataDir::open(path, true)?;
    let _lock = data.lock()?;
    let vault = Arc::new(data.vault()?);
    let control = Control::open(&data.control())
        .await
        .with_context(|| data.shown("control.sqlite"))?;
    let control = Arc::new(control);
    let registry = load_connectors(&config).await?;
    first_environment(&data, &control, &vault).await?;

    let connectors = Arc::new(Connectors::new(registry, egress(&config)?, limits(&config)));
    let environments = Arc::new(Environments::default());
    let keeper = Keeper {
        data,
        control,
        vault,
        connectors: connectors.clone(),
        environments: environments.clone(),
    };
    keeper.look().await?;

    let engine = Engine::new(
        connectors.clone(),
        environments.clone(),
        rollout_sync::Settings {
            poll_interval: config.sync.poll_interval,
            page_records: config.sync.page_records,
            parallel: config.sync.parallel,
            retry_first: config.sync.retry_first,
            retry_longest: config.sync.retry_longest,
            failed_after: config.sync.failed_after,
        },
    );
    let default_environment = &config.auth.default_environment;
    let settings = Settings {
        public_url: config.public_url(),
        default_environment: (!default_environment.is_empty()).then(|| default_environment.clone()),
        body_bytes: config.server.body_bytes,
    };
    let host = Host::new(connectors, environments.clone(), engine.clone(), settings);
    let (stop, stopped) = watch::channel(false);
    let syncing = tokio::spawn(engine.run(stopped.clone()));
    let keeping = tokio::spawn(keeper.keep(stopped.clone()));

    let app = around(router(host), edge(&config));
    let options = ServeOptions {
        header_read_timeout: config.server.header_read_timeout,
        ..ServeOptions::default()
    };
    tracing::info!("listening on http://{}", listener.local_addr()?);
    let told = async move {
        termination().await;
        tracing::info!("stopping: requests and pages under way are finished first");
        let _ = stop.send(true);
    };
    rollout_server::edge::serve(listener, app, options, told).await;
    syncing.await.context("the sync engine")?;
    keeping.await.context("the control look-out")?;
    for environment in environments.all() {
        environment.store().close().await;
    }
    tracing::info!("stopped");
    Ok(())
}

/// Resolves on SIGTERM or Ctrl-C.
async fn termination() {
    use tokio::signal::unix::{SignalKind, signal};
    match signal(SignalKind::terminate()) {
        Ok(mut terminate) => {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = tokio::signal::ctrl_c() => {}
            }
        }
        Err(error) => {
            tracing::warn!(%error, "SIGTERM can't be heard; Ctrl-C can");
            let _ = tokio::signal::ctrl_c().await;
        }
    }
}

/// Loads the connectors of all folders that the configuration names.
pub(crate) async fn load_connectors(config: &Config) -> Result<Registry> {
    let catalog = Arc::new(Catalog::embedded()?);
    let sandbox = Arc::new(Sandbox::new(config.sandbox.clone())?);
    let registry = Registry::new(catalog, sandbox);
    for path in &config.connectors.dirs {
        let shown = path.display().to_string();
        let dir = Dir::open_ambient_dir(path, ambient_authority())
            .with_context(|| format!("can't open the connectors folder {shown}"))?;
        match registry.load_dir(&dir, &shown).await {
            Ok(0) => tracing::warn!("the connectors folder {shown} has no connector"),
            Ok(_) => {}
            Err(LoadDirError::Read(error)) => {
                return Err(error)
                    .with_context(|| format!("can't read the connectors folder {shown}"));
            }
            Err(LoadDirError::KeyTaken(taken)) => bail!(taken),
        }
    }
    Ok(registry)
}

async fn first_environment(data: &DataDir, control: &Control, vault: &Vault) -> Result<()> {
    if !control.environments().await?.is_empty() {
        return Ok(());
    }
    let made = make_environment(data, control, vault, FIRST, None, None).await?;
    let file = format!("{FIRST}.credentials.json");
    data.write_private(&file, &format!("{}\n", made.shown))?;
    tracing::info!(
        "environment `{FIRST}` made; its client id and secret are in {}",
        data.shown(&file)
    );
    Ok(())
}

fn egress(config: &Config) -> Result<Arc<Egress>> {
    let mut upstreams = BTreeMap::new();
    for (from, to) in &config.dev.upstreams {
        tracing::warn!("DEVELOPMENT: traffic for {from} goes to {to}");
        upstreams.insert(from.clone(), to.clone());
    }
    let limits = &config.egress;
    let egress = Egress::new(EgressConfig {
        dev_upstreams: upstreams,
        timeout: limits.timeout,
        request_bytes: limits.request_bytes,
        response_bytes: limits.response_bytes,
        ..EgressConfig::default()
    })?;
    Ok(Arc::new(egress))
}

fn limits(config: &Config) -> CallLimits {
    CallLimits {
        requests: config.egress.call_requests,
        at_once: config.egress.call_parallel,
        response_bytes: config.egress.call_response_bytes,
    }
}

fn edge(config: &Config) -> EdgeOptions {
    let origins = &config.server.cors_origins;
    let origins = if origins.iter().any(|origin| origin == "*") {
        Origins::Any
    } else {
        Origins::Only(origins.iter().cloned().collect())
    };
    let own = url::Url::parse(&config.public_url())
        .ok()
        .and_then(|url| url.host_str().map(str::to_owned));
    EdgeOptions {
        cors: Cors {
            origins,
            ..Cors::default()
        },
        category_hosts: rollout_server::edge::CategoryHosts { own },
        ..EdgeOptions::default()
    }
}

/// Keeps what runs equal to what the control database says.
struct Keeper {
    data: DataDir,
    control: Arc<Control>,
    vault: Arc<Vault>,
    connectors: Arc<Connectors>,
    environments: Arc<Environments>,
}

impl Keeper {
    /// Looks again and again until `stop` turns true.
    async fn keep(self, mut stop: watch::Receiver<bool>) {
        while !*stop.borrow() {
            tokio::select! {
                () = tokio::time::sleep(LOOK) => {
                    if let Err(error) = self.look().await {
                        tracing::warn!("the control database can't be followed: {error:#}");
                    }
                }
                _ = stop.changed() => {}
            }
        }
    }

    /// Opens environments that are new and takes up settings that changed.
    async fn look(&self) -> Result<()> {
        for stored in self.control.environments().await? {
            let environment = match self.environments.by_name(&stored.name) {
                Some(environment) => environment,
                None => {
                    let environment = self.open(&stored).await.with_context(|| {
                        self.data.environment(&stored.name).display().to_string()
                    })?;
                    tracing::info!(environment = stored.name, "environment opened");
                    self.environments.add(environment.clone());
                    environment
                }
            };
            for connector in self.connectors.registry().all() {
                environment
                    .load_settings(&self.control, connector.key())
                    .await?;
            }
        }
        Ok(())
    }

    async fn open(&self, stored: &rollout_store::Environment) -> Result<Arc<Environment>> {
        if stored.database_url.is_some() {
            bail!(EnvironmentError::Elsewhere(stored.name.clone()));
        }
        let path = self.data.environment(&stored.name);
        let store = EnvStore::open(&path, self.connectors.catalog()).await?;
        let environment = Environment::open(stored, store, self.vault.clone()).await?;
        self.connectors.plan_missing(&environment).await?;
        let environment = Arc::new(environment);
        let purging = environment.clone();
        tokio::spawn(async move {
            if let Err(error) = purging.store().purge().await {
                tracing::warn!(environment = purging.name, %error, "deleted records are not all erased yet");
            }
        });
        Ok(environment)
    }
}

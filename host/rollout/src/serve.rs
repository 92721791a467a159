//! `rollout serve`: opens everything in an order in which a failure leaves
//! nothing changed, serves, and drains when it is told to stop.

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, Result, bail};
use cap_std::ambient_authority;
use cap_std::fs::Dir;
use rollout_catalog::Catalog;
use rollout_connectors::{Connectors, Environments, LoadDirError, Registry};
use rollout_egress::{CallLimits, Egress, EgressConfig, Receivers, ReceiversConfig};
use rollout_sandbox::{Compiler, Sandbox};
use rollout_server::edge::{Cors, EdgeOptions, Origins, ServeOptions, around};
use rollout_server::{Host, LinkSettings, Settings, health_router, router};
use rollout_store::{DELIVER, FAN_OUT, HOUSE, Migrate, SETTLE, SYNC};
use rollout_sync::{Engine, Intervals, Settler, Writer};
use rollout_webhooks::{Deliver, FanOut, Schedule, Sender};
use rollout_work::{Backoff, House, Keep, Leases, Queued, Workers};
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio::sync::watch;
use tracing_subscriber::EnvFilter;

use crate::config::{self, Config, Interval, LogFormat};
use crate::data::DataDir;
use crate::installation::Installation;
use crate::keeper::Keeper;

/// The command that compiles one connector, in a process of its own.
pub(crate) const COMPILE: &str = "compile-connector";

/// The environment that the first `serve` makes.
const FIRST: &str = "dev";

/// A runtime for commands that run connectors.
pub(crate) fn runtime() -> Result<Runtime> {
    Ok(tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?)
}

/// How to serve.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Options {
    pub(crate) role: Role,
    pub(crate) migrate: Migrate,
}

/// What a host does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Role {
    /// Answers requests and works.
    All,
    /// Answers requests only.
    Api,
    /// Works only; answers no requests but for its health.
    Worker,
}

impl Role {
    fn works(self) -> bool {
        self != Self::Api
    }
}

pub(crate) fn run(config: Config, data: &Path, options: Options) -> Result<()> {
    log(&config)?;
    runtime()?.block_on(serve(config, data, options))
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

/// Secrets are in memory while calls run, and in buffers of the HTTP client for a while
/// after.
fn forbid_core_dumps() -> Result<()> {
    #[cfg(target_os = "linux")]
    {
        use rustix::process::{DumpableBehavior, set_dumpable_behavior};
        set_dumpable_behavior(DumpableBehavior::NotDumpable)
            .context("core dumps can't be turned off: set server.core_dumps = true")?;
    }
    Ok(())
}

async fn serve(config: Config, path: &Path, options: Options) -> Result<()> {
    let listener = TcpListener::bind(&config.server.listen)
        .await
        .with_context(|| format!("can't listen on {}", config.server.listen))?;
    // What is configured wrongly is named before anything is made.
    let folders = folders(&config)?;
    let egress = egress(&config)?;
    let receivers = receivers(&config)?;
    if !config.server.core_dumps {
        forbid_core_dumps()?;
    }
    let data = DataDir::open(path, true)?;
    let _lock = data.lock()?;
    let registry = load(folders, sandbox(&config, Some(&data))?).await?;
    let connectors = Arc::new(Connectors::new(registry, egress, limits(&config)));
    let sender = Sender::new(receivers, connectors.clone(), config.public_url());
    let sender = Arc::new(sender);
    let installation = Installation::in_dir(&config, data, true, options.migrate).await?;
    let installation = Arc::new(installation);
    if let Some(shown) = installation.first_environment(FIRST).await? {
        let file = format!("{FIRST}.credentials.json");
        installation
            .data
            .write_private(&file, &format!("{shown}\n"))?;
        tracing::info!(
            "environment `{FIRST}` made; its client id and secret are in {}",
            installation.data.shown(&file)
        );
    }

    let environments = Arc::new(Environments::default());
    let keeper = Keeper::new(
        installation.clone(),
        connectors.clone(),
        environments.clone(),
    );
    keeper.open_all().await?;

    let leases = Leases::new(worker_name(), work(&config));
    let (stop, stopped) = watch::channel(false);
    let (rest, resting) = watch::channel(false);
    let renewing = tokio::spawn({
        let leases = leases.clone();
        async move { leases.renew(resting).await }
    });
    let working = options.role.works().then(|| {
        let workers = Workers::new(
            environments.clone(),
            installation.databases.signals(),
            leases.clone(),
            queues(&config, &connectors, &sender),
        );
        tokio::spawn(workers.run(stopped.clone()))
    });
    let hearing = tokio::spawn(hear(installation.clone(), environments.clone()));
    let keeping = tokio::spawn(keeper.keep(stopped.clone()));

    let default_environment = &config.auth.default_environment;
    let settings = Settings {
        public_url: config.public_url(),
        default_environment: (!default_environment.is_empty()).then(|| default_environment.clone()),
        body_bytes: config.server.body_bytes,
        requests_per_second: NonZeroU32::new(config.api.requests_per_second),
        redirect_url: Some(config.oauth.redirect_url.clone()).filter(|url| !url.is_empty()),
        redirect_urls: config.oauth.redirect_urls.clone(),
        dev_upstreams: config.dev.upstreams.clone(),
        link: LinkSettings {
            frame_ancestors: config.link.frame_ancestors.clone(),
            demo: config.dev.enabled,
        },
    };
    let writer = Writer::new(connectors.clone(), leases);
    let host = Host::new(connectors, environments.clone(), writer, sender, settings);
    let routes = match options.role {
        Role::All | Role::Api => router(host),
        Role::Worker => health_router(host),
    };
    let serve_options = ServeOptions {
        header_read_timeout: config.server.header_read_timeout,
        ..ServeOptions::default()
    };
    tracing::info!("listening on http://{}", listener.local_addr()?);
    let told = async move {
        termination().await;
        tracing::info!("stopping: requests and pages under way are finished first");
        let _ = stop.send(true);
    };
    let app = around(routes, edge(&config));
    rollout_server::edge::serve(listener, app, serve_options, told).await;
    if let Some(working) = working {
        working.await.context("the workers")?;
    }
    keeping.await.context("the look-out for changes")?;
    let _ = rest.send(true);
    renewing.await.context("the leases")?;
    hearing.abort();
    for environment in environments.all() {
        environment.write_records().await;
        environment.store().close().await;
    }
    installation.control.close().await;
    tracing::info!("stopped");
    Ok(())
}

/// Names this process in the tables.
fn worker_name() -> String {
    let host = rustix::system::uname();
    let host = host.nodename().to_string_lossy().into_owned();
    format!("{host}/{}", std::process::id())
}

fn work(config: &Config) -> rollout_work::Settings {
    rollout_work::Settings {
        lease: config.work.lease,
        renew: config.work.renew,
    }
}

/// Who does what kind of work.
fn queues(config: &Config, connectors: &Arc<Connectors>, sender: &Arc<Sender>) -> Vec<Queued> {
    let house = House {
        connectors: connectors.clone(),
        keep: Keep {
            events: config.work.keep_events,
            writes: config.work.keep_writes,
            outbound_calls: config.work.keep_outbound_calls,
            outbound_calls_most: config.work.most_outbound_calls.into(),
        },
    };
    let settings = rollout_sync::Settings {
        poll: intervals(&config.sync),
        full_pass_interval: config.sync.full_pass_interval,
        page_records: config.sync.page_records,
        retry: Backoff {
            first: config.sync.retry_first,
            longest: config.sync.retry_longest,
        },
        failed_after: config.sync.failed_after,
    };
    let delays = config.webhooks.schedule.iter().map(|delay| delay.0);
    let schedule = Schedule {
        delays: delays.collect(),
        disable_after: config.webhooks.disable_after,
    };
    vec![
        Queued {
            queue: FAN_OUT,
            // As with the house: each environment has a place of its own.
            parallel: 10_000,
            handler: Box::new(FanOut::new(connectors.clone(), schedule.clone())),
        },
        Queued {
            queue: DELIVER,
            parallel: config.webhooks.parallel,
            handler: Box::new(Deliver::new(sender.clone(), schedule)),
        },
        Queued {
            queue: HOUSE,
            // Each environment takes a place of its own, for as long as it is served.
            parallel: 10_000,
            handler: Box::new(house),
        },
        Queued {
            queue: SETTLE,
            parallel: config.sync.parallel,
            handler: Box::new(Settler::new(
                connectors.clone(),
                config.work.settle_patience,
            )),
        },
        Queued {
            queue: SYNC,
            parallel: config.sync.parallel,
            handler: Box::new(Engine::new(connectors.clone(), settings)),
        },
    ]
}

fn intervals(sync: &config::Sync) -> Intervals {
    let particular = |table: &BTreeMap<String, Interval>| {
        let all = table.iter();
        all.map(|(name, interval)| (name.clone(), interval.0))
            .collect()
    };
    Intervals {
        environments: particular(&sync.environments),
        connectors: particular(&sync.connectors),
        default: sync.poll_interval,
    }
}

/// Passes signals of work to other hosts, and theirs to the workers here.
async fn hear(installation: Arc<Installation>, environments: Arc<Environments>) {
    let signals = installation.databases.signals();
    let heard = |owner: Option<&str>| {
        for environment in environments.all() {
            if owner.is_none_or(|owner| owner == environment.client_id) {
                environment.store().heard();
            }
        }
    };
    tokio::join!(
        installation.control.announce(&signals),
        installation.control.listen(heard)
    );
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

/// The engine: connectors are compiled by this program in a process of its own, and
/// what was compiled is kept in the data directory, if one is used.
pub(crate) fn sandbox(config: &Config, data: Option<&DataDir>) -> Result<Sandbox> {
    // On Linux by the name that stays right when an upgrade puts another program in its
    // place on disk.
    let program = if cfg!(target_os = "linux") {
        PathBuf::from("/proc/self/exe")
    } else {
        std::env::current_exe().context("this program can't find itself")?
    };
    let sandbox = Sandbox::new(config.sandbox.clone())?.with_compiler(Compiler {
        program,
        arguments: vec![COMPILE.into()],
    });
    Ok(match data {
        None => sandbox,
        Some(data) => {
            let (shelf, key) = data.artifacts()?;
            sandbox.with_shelf(Box::new(shelf), key)
        }
    })
}

/// The folders of connectors that the configuration names.
fn folders(config: &Config) -> Result<Vec<(String, Dir)>> {
    let open = |path: &PathBuf| {
        let shown = path.display().to_string();
        let dir = Dir::open_ambient_dir(path, ambient_authority())
            .with_context(|| format!("can't open the connectors folder {shown}"))?;
        Ok((shown, dir))
    };
    config.connectors.dirs.iter().map(open).collect()
}

/// Loads the connectors of all folders that the configuration names.
pub(crate) async fn load_connectors(config: &Config, data: &DataDir) -> Result<Registry> {
    load(folders(config)?, sandbox(config, Some(data))?).await
}

async fn load(folders: Vec<(String, Dir)>, sandbox: Sandbox) -> Result<Registry> {
    let catalog = Arc::new(Catalog::embedded()?);
    let registry = Registry::new(catalog, Arc::new(sandbox));
    for (shown, dir) in folders {
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

fn egress(config: &Config) -> Result<Arc<Egress>> {
    let limits = &config.egress;
    let egress = Egress::new(EgressConfig {
        dev_upstreams: config.dev.upstreams.clone(),
        timeout: limits.timeout,
        request_bytes: limits.request_bytes,
        response_bytes: limits.response_bytes,
        limit_simulators: config.dev.rate_limits,
        ..EgressConfig::default()
    })?;
    Ok(Arc::new(egress))
}

fn receivers(config: &Config) -> Result<Receivers> {
    let webhooks = &config.webhooks;
    let allowed = webhooks.allowed_private.iter();
    let allowed: Result<Vec<_>, _> = allowed.map(|entry| entry.parse()).collect();
    let receivers = Receivers::new(ReceiversConfig {
        allowed_private: allowed.context("webhooks.allowed_private")?,
        connect: webhooks.connect_timeout,
        head: webhooks.head_timeout,
        body: webhooks.body_timeout,
        ..ReceiversConfig::default()
    });
    receivers.context("the HTTP client for webhooks cannot be made")
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

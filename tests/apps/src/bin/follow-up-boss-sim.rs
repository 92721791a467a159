//! Serves the Follow Up Boss simulator until it is told to stop.

use std::io::{self, Write};
use std::net::SocketAddr;

use clap::{Parser, ValueEnum};
use rollout_test_apps::follow_up_boss::{AccountConfig, Config, Dataset, RateLimits, Simulator};
use tokio::signal::unix::{SignalKind, signal};

/// A simulator of the Follow Up Boss API.
#[derive(Debug, Parser)]
#[command(name = "follow-up-boss-sim")]
struct Options {
    /// Address to listen on.
    #[arg(long, default_value = "127.0.0.1:9101")]
    listen: SocketAddr,
    /// Key of the account's owner.
    #[arg(long, default_value = Config::API_KEY)]
    api_key: String,
    /// What the account holds.
    #[arg(long, value_enum, default_value = "demo")]
    dataset: Kind,
    /// Number of people of a messy or bulk data set.
    #[arg(long, default_value_t = 1000)]
    people: u64,
    /// Seed of a messy data set.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Do not limit requests.
    #[arg(long)]
    no_rate_limit: bool,
    /// Name of a registered system, which gets the higher limits.
    #[arg(long, requires = "system_key")]
    system: Option<String>,
    /// Key of the registered system.
    #[arg(long, requires = "system")]
    system_key: Option<String>,
    /// Where people who sign in may be sent back to.
    #[arg(long)]
    redirect_uri: Vec<String>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Kind {
    Demo,
    Messy,
    Bulk,
}

impl Options {
    fn config(self) -> Config {
        let dataset = match self.dataset {
            Kind::Demo => Dataset::demo(),
            Kind::Messy => Dataset::messy(
                self.seed,
                usize::try_from(self.people).unwrap_or(usize::MAX),
            ),
            Kind::Bulk => Dataset::bulk(self.people),
        };
        let account = AccountConfig::new(dataset).key(self.api_key, 1);
        let mut config = Config::of(account).listen(self.listen);
        if let (Some(name), Some(key)) = (self.system, self.system_key) {
            config = config.system(name, key);
        }
        config.oauth.redirect_uris.extend(self.redirect_uri);
        if self.no_rate_limit {
            config = config.limits(RateLimits::off());
        }
        config
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> io::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let simulator = Simulator::start(Options::parse().config())?;
    writeln!(
        io::stdout(),
        "follow-up-boss-sim: {} people on {}/v1",
        simulator.people_count(),
        simulator.url()
    )?;
    tokio::select! {
        pressed = tokio::signal::ctrl_c() => pressed?,
        _ = terminate.recv() => {}
    }
    simulator.shutdown();
    Ok(())
}

//! A connector that reads a secret in clear: its label is the slot `password`.

use rollout_connector::{Account, Auth, Error, Manifest, secrets};

struct Revealing;

rollout_connector::export!(Revealing);

impl Manifest for Revealing {
    fn describe() -> String {
        include_str!("../manifest.json").to_owned()
    }
}

impl Auth for Revealing {
    fn probe() -> Result<Account, Error> {
        Ok(Account::new(1, secrets::reveal("password")?))
    }
}

//! A connector whose every text is markup that would run a script, fetch something or
//! lead astray, if a page took it for markup. Its account is what the person entered.

use rollout_connector::{Account, Auth, Error, Manifest, credential};

struct MarkedUp;

rollout_connector::export!(MarkedUp);

impl Manifest for MarkedUp {
    fn describe() -> String {
        include_str!("../manifest.json").to_owned()
    }
}

impl Auth for MarkedUp {
    fn probe() -> Result<Account, Error> {
        let account = credential::field("account").unwrap_or_default();
        if account == "refused" {
            return Err(Error::Unauthorized(
                "<img src=\"https://evil.example/10\" onerror=\"window.hurt=10\"> says no".into(),
            ));
        }
        let label = format!(
            "{account} <script>window.hurt=11</script><img src=\"https://evil.example/11\" onerror=\"window.hurt=11\">"
        );
        Ok(Account::new(account, label))
    }
}

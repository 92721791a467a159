//! Tries to get at the API key through an app that repeats it, through codes made with
//! it, and by putting it together from its parts.

use std::fmt::Write as _;

use rollout_connector::entities::crm::Person;
use rollout_connector::http::Place;
use rollout_connector::{
    Account, Error, Item, MacAlgorithm, Page, Request, Response, app, credential, log, state,
};

use crate::secrets::hexadecimal;

const ECHO: &str = "https://app.followupboss.com/echo";
const ALGORITHMS: [MacAlgorithm; 4] = [
    MacAlgorithm::HmacSha1,
    MacAlgorithm::HmacSha256,
    MacAlgorithm::HmacSha512,
    MacAlgorithm::Sha256OfSlotAndData,
];

/// The answer of an app that repeats the key in this form.
fn echo(form: &str) -> Result<Response, Error> {
    Request::get(ECHO)
        .query("as", form)
        .secret("apiKey", Place::Header("X-Api-Key".into()))
        .send()
}

/// One record for each form: all that came back, in hexadecimal so that nobody blanks
/// it on the way.
pub(crate) fn echoes(forms: &[String]) -> Result<Page, Error> {
    let items = forms.iter().map(|form| {
        let seen = match echo(form) {
            Ok(response) => {
                let body = String::from_utf8_lossy(&response.body);
                format!("{} {:?} {body}", response.status, response.headers)
            }
            Err(error) => error.to_string(),
        };
        Item::new(form.clone()).body(&named(&hexadecimal(&seen)))
    });
    Page::last(items.collect(), &())
}

/// The key, from an app that gives it away in two parts that nobody looks for.
fn assembled() -> Result<String, Error> {
    let response = echo("halves")?;
    let part = |name: &str| response.header(name).unwrap_or_default().to_owned();
    Ok([part("x-first"), part("x-second")].concat())
}

/// Has the host keep the key in every place that there is for something.
pub(crate) fn assembled_page() -> Result<Page, Error> {
    let key = assembled()?;
    log::warn(format_args!("put together: {key}"));
    #[expect(clippy::print_stdout, reason = "to write there is the point")]
    {
        println!("put together: {key}");
    }
    let stored = state::set("assembled", &key, None);
    let mut person = named(&key);
    person.tags = Some(vec![key.as_str().into()]);
    person.custom.insert("customLength", &key.len())?;
    person.custom.insert("customStored", &stored.is_ok())?;
    person.custom.insert("customKey", &key)?;
    let native = format!(r#"{{"key":"{key}"}}"#);
    let item = Item::new("assembled").native_raw(&native).body(&person);
    let named_so = Item::new(key.clone()).body(&named("as id"));
    Page::last(vec![item, named_so], &key)
}

pub(crate) fn assembled_error() -> Result<Page, Error> {
    Err(Error::Internal(format!("put together: {}", assembled()?)))
}

/// An account that is called like the key.
pub(crate) fn assembled_account() -> Result<Account, Error> {
    let key = assembled()?;
    Ok(Account::new(&key, &key))
}

/// Codes made with each slot of this name or that, by every algorithm, over texts that
/// are short, empty or the name itself; and whether guesses are right.
pub(crate) fn macs(slots: &[String]) -> Result<Page, Error> {
    let items = slots.iter().map(|slot| {
        let mut said = String::new();
        for algorithm in ALGORITHMS {
            for data in ["", "a", slot.as_str()] {
                let data = data.as_bytes();
                for made in [
                    credential::mac(slot, algorithm, data),
                    app::mac(slot, algorithm, data),
                ] {
                    let made = made.map(|code| hex(&code));
                    let _ = writeln!(said, "{algorithm:?}: {made:?}");
                }
                for right in [
                    credential::verify_mac(slot, algorithm, data, b""),
                    credential::verify_mac(slot, algorithm, data, slot.as_bytes()),
                    app::verify_mac(slot, algorithm, data, b""),
                ] {
                    let _ = writeln!(said, "{algorithm:?}: {right:?}");
                }
            }
        }
        Item::new(slot.clone()).body(&named(&said))
    });
    Page::last(items.collect(), &())
}

fn named(name: &str) -> Person<'_> {
    Person {
        last_name: Some(name.into()),
        ..Person::default()
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

//! The app changes at random, things go wrong at random, clients write and the host is
//! killed, all at once. Afterwards every record is what the app has, and every event
//! happened: the app's own state is the model.
//!
//! `SYNC_MODEL_SEEDS=1000` tries so many seeds, `SYNC_MODEL_SEED=7` one of them.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use reqwest::{Method, RequestBuilder};
use rollout_test_apps::follow_up_boss::{Dataset, Kind, Simulator, Troubles};
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::fixtures::{
    API_KEY, Answer, Client, HostUnderTest, Setup, app, database, resource_ids, until,
};
use crate::sync_full::full_pass;
use crate::sync_oracle::Shown;

/// Seeds of a normal run, on each database.
const SEEDS: u64 = 2;
const PEOPLE: usize = 60;
/// What happens in a run.
const STEPS: usize = 60;
/// How often the host is killed meanwhile.
const KILLS: usize = 2;

/// SplitMix64: a seed is the same run everywhere.
struct Dice(u64);

impl Dice {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.0;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((bits ^ (bits >> 31)) % end.max(1) as u64) as usize
    }

    fn pick<T: Copy>(&mut self, all: &[T]) -> Option<T> {
        let at = self.below(all.len());
        all.get(at).copied()
    }
}

/// What is done to the app, to the host, and through it.
#[derive(Clone, Copy, Debug)]
enum Step {
    Add,
    Change,
    ChangeMany,
    Trash,
    Erase,
    EraseNote,
    Merge,
    Reuse,
    Note,
    Hide,
    Create,
    Update,
    Delete,
    FullPass,
}

const ALL: [Step; 14] = [
    Step::Add,
    Step::Change,
    Step::ChangeMany,
    Step::Trash,
    Step::Erase,
    Step::EraseNote,
    Step::Merge,
    Step::Reuse,
    Step::Note,
    Step::Hide,
    Step::Create,
    Step::Update,
    Step::Delete,
    Step::FullPass,
];

/// A run: an app, a host, and what is under way.
struct Run {
    app: Simulator,
    host: HostUnderTest,
    credential: String,
    dice: Dice,
    /// Ids of people that were erased.
    erased: Vec<u64>,
    /// People that lists leave out.
    hidden: Vec<u64>,
    /// People who were there at first.
    first: Vec<u64>,
    /// What clients wrote, each under a key of its own.
    written: Vec<Written>,
    /// Their requests, whatever comes of them.
    requests: JoinSet<()>,
    seed: u64,
}

#[derive(Clone)]
struct Written {
    method: Method,
    path: String,
    body: Value,
}

impl Written {
    /// The same request each time.
    fn request(&self, account: &Client, number: usize) -> RequestBuilder {
        let key = format!("write {number}");
        account.keyed_request(self.method.clone(), &self.path, &key, &self.body)
    }
}

impl Run {
    fn account(&self) -> Client {
        self.host.client("model").of(&self.credential)
    }

    fn people(&self) -> Vec<u64> {
        let people = self.app.people().into_iter();
        let there = people.filter(|person| person["stage"] != "Trash");
        there.filter_map(|person| person["id"].as_u64()).collect()
    }

    /// One of our ids, as a client knows it.
    async fn known(&mut self) -> Option<String> {
        let page = self.account().get("/crm/api/people?limit=100").await.ok();
        let people = page["people"].as_array().unwrap();
        let at = self.dice.below(people.len());
        Some(people.get(at)?["id"].as_str().unwrap().to_owned())
    }

    /// Writes, and leaves the request to itself: the host may be killed meanwhile.
    fn write(&mut self, method: Method, path: String, body: Value) {
        let write = Written { method, path, body };
        let request = write.request(&self.account(), self.written.len());
        self.written.push(write);
        self.requests.spawn(async move {
            let _ = request.send().await;
        });
    }

    fn ask_for_full_pass(&mut self) {
        let path = format!("/api/credentials/{}/sync", self.credential);
        let request = self.account().request(Method::POST, &path);
        let request = request.json(&json!({"full": true}));
        self.requests.spawn(async move {
            let _ = request.send().await;
        });
    }

    async fn step(&mut self, number: usize, step: Step) {
        let people = self.people();
        let person = self.dice.pick(&people);
        let name = format!("Step {number}");
        match (step, person) {
            (Step::Add, _) => {
                self.app
                    .insert_person(json!({"firstName": name, "lastName": "New", "stage": "Lead"}));
            }
            (Step::Change, Some(person)) => {
                self.app
                    .update_person(person, json!({"firstName": name, "tags": [name]}));
            }
            (Step::ChangeMany, Some(_)) => {
                for _ in 0..20 {
                    if let Some(person) = self.dice.pick(&people) {
                        self.app.update_person(person, json!({"source": name}));
                    }
                }
            }
            (Step::Trash, Some(person)) => {
                self.app.trash_person(person);
            }
            (Step::Erase, Some(person)) => {
                if self.app.remove(Kind::People, person) {
                    self.erased.push(person);
                }
            }
            (Step::EraseNote, _) => {
                let notes = self.app.notes().into_iter();
                let notes: Vec<u64> = notes.filter_map(|note| note["id"].as_u64()).collect();
                if let Some(note) = self.dice.pick(&notes) {
                    self.app.remove(Kind::Notes, note);
                }
            }
            (Step::Merge, Some(person)) => {
                if let Some(other) = self.dice.pick(&people)
                    && self.app.merge_people(person, other)
                {
                    self.erased.push(person);
                }
            }
            (Step::Reuse, _) => {
                if let Some(id) = self.dice.pick(&self.erased) {
                    let person =
                        json!({"id": id, "firstName": name, "lastName": "Reused", "stage": "Lead"});
                    self.app.insert_person(person);
                }
            }
            (Step::Note, Some(person)) => {
                self.app.add_note(person, &name);
            }
            // One that was there before: whether a write made a record is found out by
            // lists.
            (Step::Hide, Some(person)) if self.first.contains(&person) => {
                if self.app.unlist(Kind::People, person, true) {
                    self.hidden.push(person);
                }
            }
            (Step::Create, _) => {
                let body = json!({"firstName": name, "lastName": "Created", "stage": "Lead"});
                self.write(Method::POST, "/crm/api/people".to_owned(), body);
            }
            (Step::Update, _) => {
                if let Some(id) = self.known().await {
                    let body = json!({"firstName": name, "lastName": "Updated"});
                    self.write(Method::PUT, format!("/crm/api/people/{id}"), body);
                }
            }
            (Step::Delete, _) => {
                if let Some(id) = self.known().await {
                    self.write(Method::DELETE, format!("/crm/api/people/{id}"), Value::Null);
                }
            }
            (Step::FullPass, _) => self.ask_for_full_pass(),
            (_, None) | (Step::Hide, _) => {}
        }
    }

    async fn kill(&mut self) {
        self.host.kill();
        self.host.restart().await;
    }

    /// Nothing goes wrong any more, and what was begun comes to an end.
    async fn settle(&mut self) {
        self.app.trouble(None);
        self.app.set_clock(0);
        for id in std::mem::take(&mut self.hidden) {
            self.app.unlist(Kind::People, id, false);
        }
        while self.requests.join_next().await.is_some() {}
        let account = self.account();
        // Clients send again under the same key what they have no answer to.
        for (number, write) in self.written.iter().enumerate() {
            until("a write has an outcome", async || {
                let answer = Answer::to(write.request(&account, number)).await;
                let known = answer.status < 500 && !matches!(answer.status, 409 | 429);
                known.then_some(())
            })
            .await;
        }
        full_pass(&account, &["users", "people", "notes", "tasks"]).await;
    }

    /// Compares everything with the app.
    async fn assert_equal(&self) {
        let account = self.account();
        let shown = Shown::read(&account).await;
        shown.assert_equals(&self.app).await;
        let made = self.app.people().into_iter();
        let made = made.filter(|person| person["lastName"] == "Created");
        let mut names = BTreeSet::new();
        for person in made {
            let name = person["firstName"].to_string();
            assert!(
                names.insert(name),
                "{person} was made twice, seed {}",
                self.seed
            );
        }
        let events = until("all events are numbered", async || {
            let events = account
                .events("/crm/api/events-feed", "includeInitialSync=true")
                .await;
            let told = replay(&events);
            (told.get("people").map(BTreeSet::len) == Some(shown.people.len())).then_some(told)
        })
        .await;
        for (kind, there) in [
            ("users", &shown.users),
            ("people", &shown.people),
            ("notes", &shown.notes),
            ("tasks", &shown.tasks),
        ] {
            let there = there.values().map(|record| record["id"].as_str().unwrap());
            let there: BTreeSet<String> = there.map(str::to_owned).collect();
            let told = events.get(kind).cloned().unwrap_or_default();
            assert_eq!(
                told, there,
                "{kind} that events tell of, seed {}",
                self.seed
            );
        }
    }
}

impl Client {
    /// Waits until the first sync is complete, whatever a full pass found since.
    async fn wait_synced_or_confirmed(&self) {
        let path = format!("/api/credentials/{}", self.credential());
        until("the first sync is complete", async || {
            let shown = self.get(&path).await.ok();
            let entities = shown["sync"]["entities"].as_object().unwrap();
            let complete = |one: &Value| one["firstCompletedAt"].is_string();
            entities.values().all(complete).then_some(())
        })
        .await;
    }
}

/// What is there after all events, by kind. Made is what was not there, changed and
/// deleted what was.
fn replay(events: &[Value]) -> BTreeMap<String, BTreeSet<String>> {
    let mut there: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for event in events {
        let name = event["event"].as_str().unwrap();
        let Some((kind, happened)) = ["Created", "Updated", "Deleted"]
            .iter()
            .find_map(|happened| Some((name.strip_suffix(happened)?, *happened)))
        else {
            continue;
        };
        let of_kind = there.entry(kind.to_owned()).or_default();
        for id in resource_ids(event) {
            let fits = match happened {
                "Created" => of_kind.insert(id.to_owned()),
                "Deleted" => of_kind.remove(id),
                _ => of_kind.contains(id),
            };
            assert!(fits, "{event} does not follow from what was told before");
        }
    }
    there
}

async fn run(seed: u64, database_url: Option<String>) {
    println!("seed {seed}");
    let mut dice = Dice(seed);
    let app = app(Dataset::messy(seed, PEOPLE));
    let setup = Setup::against(&app)
        .set("sync.poll_interval", "200ms")
        .set("sync.full_pass_interval", "700ms")
        .set("sync.page_records", 10 + dice.below(30) as i64)
        .set("sync.retry_first", "50ms")
        .set("sync.retry_longest", "300ms")
        .set("work.settle_patience", "1s");
    let setup = match &database_url {
        Some(url) => setup.on(url),
        None => setup,
    };
    let mut host = HostUnderTest::start(setup).await;
    let credential = host.client("model").connect(API_KEY).await;
    let credential = credential.credential().to_owned();
    app.trouble(Some(Troubles::bad_day(seed)));
    app.set_clock(dice.below(200) as i64 - 100);
    // The first sync has a bad day too, and is killed in the middle of it.
    let pause = Duration::from_millis(dice.below(1500) as u64);
    tokio::time::sleep(pause).await;
    host.kill();
    host.restart().await;
    let mut run = Run {
        app,
        host,
        credential,
        dice,
        erased: Vec::new(),
        hidden: Vec::new(),
        first: Vec::new(),
        written: Vec::new(),
        requests: JoinSet::new(),
        seed,
    };
    run.first = run.people();
    run.account().wait_synced_or_confirmed().await;
    let kills: Vec<usize> = (0..KILLS).map(|_| run.dice.below(STEPS)).collect();
    for number in 0..STEPS {
        if let Some(step) = run.dice.pick(&ALL) {
            run.step(number, step).await;
        }
        if kills.contains(&number) {
            run.kill().await;
        }
        let pause = run.dice.below(120) as u64;
        tokio::time::sleep(Duration::from_millis(pause)).await;
    }
    run.settle().await;
    run.assert_equal().await;
}

/// The seeds of this run; `part` keeps those of the two databases apart.
fn seeds(part: u64) -> Vec<u64> {
    let number = |name: &str| std::env::var(name).ok()?.parse::<u64>().ok();
    if let Some(seed) = number("SYNC_MODEL_SEED") {
        return vec![seed];
    }
    let count = number("SYNC_MODEL_SEEDS").unwrap_or(SEEDS);
    (0..count).map(|seed| seed * 2 + part).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_record_and_every_event_is_true_on_sqlite() {
    for pair in seeds(0).chunks(2) {
        let runs = pair.iter().map(|seed| run(*seed, None));
        futures_util::future::join_all(runs).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_record_and_every_event_is_true_on_postgres() {
    for pair in seeds(1).chunks(2) {
        let runs = pair.iter().map(|seed| run(*seed, Some(database())));
        futures_util::future::join_all(runs).await;
    }
}

//! Runs one row: the guest again and again, a connector that behaves beside it, and
//! what both cost.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use futures_util::StreamExt;
use futures_util::stream;
use rollout_sandbox::{CallError, Caller, Compiler, Component, Exhausted, LoadError, Sandbox};

use tokio::runtime::Handle;

use crate::COMPILE;
use crate::case::{Case, Kind};
use crate::guest::answering;
use crate::outside::Outside;

/// The neighbour is called so often.
const PACE: Duration = Duration::from_millis(5);
/// The neighbour's answers that took longer than this are no answers, however busy the
/// machine.
const PATIENCE: Duration = Duration::from_secs(2);
/// A row may leave so much behind.
const LEFT: i64 = 5 << 20;
/// A call may go on for so long after its limit: without optimisation its beginning and
/// end take longer.
const LATE: Duration = Duration::from_millis(if cfg!(debug_assertions) { 250 } else { 50 });

/// What came of a guest.
pub(crate) struct Row {
    name: String,
    /// How it ended, and what was said. One, if all is well.
    endings: BTreeSet<(String, String)>,
    kinds: Vec<Kind>,
    /// Time of each repeat by the clock, in order.
    times: Vec<Duration>,
    /// CPU time that the process spent on the median repeat.
    cpu: Duration,
    /// Bytes that the process grew by.
    growth: i64,
    /// How long the neighbour's calls took, in order.
    neighbour: Vec<Duration>,
    /// What the neighbour got that is no answer.
    unanswered: Option<String>,
}

/// Runs a row.
pub(crate) fn row(case: &Case, repeats: usize) -> Row {
    // On one thread: a guest that does not let go of it is noticed by its neighbour.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    runtime.unwrap().block_on(Stage::new(case).run(repeats))
}

struct Stage<'a> {
    case: &'a Case,
    sandbox: Arc<Sandbox>,
    file: Vec<u8>,
}

/// How one repeat ended.
struct Repeat {
    kind: Kind,
    says: String,
    took: Duration,
    cpu: Duration,
}

impl Repeat {
    async fn of(what: impl Future<Output = (Kind, String)>) -> Self {
        // Calls are requests of their own: others have their turn between them.
        tokio::task::yield_now().await;
        let (started, before) = (Instant::now(), cpu_time());
        let (kind, says) = what.await;
        let took = started.elapsed();
        // What it spawned ends with it; here that comes after our own turn, elsewhere
        // before the next call's.
        while Handle::current().metrics().num_alive_tasks() > 1 {
            tokio::task::yield_now().await;
        }
        Self {
            kind,
            says,
            took,
            cpu: cpu_time().saturating_sub(before),
        }
    }
}

impl<'a> Stage<'a> {
    fn new(case: &'a Case) -> Self {
        let compiler = Compiler {
            program: std::env::current_exe().unwrap(),
            arguments: vec![COMPILE.into()],
        };
        let sandbox = Sandbox::new(case.limits.clone()).unwrap();
        assert!(
            sandbox.is_pooled(),
            "there is no room for a pool of instances"
        );
        Self {
            case,
            sandbox: Arc::new(sandbox.with_compiler(compiler)),
            file: (case.file)(),
        }
    }

    async fn run(self, repeats: usize) -> Row {
        let good = Component::load(&self.sandbox, answering().file()).await;
        let good = good.expect("the neighbour is loaded");
        let over = Arc::new(AtomicBool::new(false));
        let neighbour = tokio::spawn(neighbour(self.sandbox.clone(), good, over.clone()));
        let (endings, growth) = match Component::load(&self.sandbox, self.file.clone()).await {
            Ok(component) => self.calls(&component, repeats).await,
            Err(_) => self.loads(repeats).await,
        };
        over.store(true, Ordering::Relaxed);
        let (mut neighbour, unanswered) = neighbour.await.unwrap();
        neighbour.sort_unstable();
        let sorted = |of: fn(&Repeat) -> Duration| {
            let mut times: Vec<Duration> = endings.iter().map(of).collect();
            times.sort_unstable();
            times
        };
        let (times, cpu) = (sorted(|one| one.took), sorted(|one| one.cpu));
        let kinds = endings.iter().map(|one| one.kind).collect();
        let endings = endings
            .into_iter()
            .map(|one| (format!("{:?}", one.kind), one.says));
        Row {
            name: self.case.name.clone(),
            endings: endings.collect(),
            kinds,
            cpu: cpu[cpu.len() / 2],
            times,
            growth,
            neighbour,
            unanswered,
        }
    }

    /// Calls it, after as many calls as bring pool and allocator to where they stay.
    /// Who waits does so beside others; else calls come one by one, so that the process's
    /// CPU time is the call's and its neighbour's.
    async fn calls(&self, component: &Component, repeats: usize) -> (Vec<Repeat>, i64) {
        let at_once = if self.case.kind == Kind::Wall { 8 } else { 1 };
        let some = |number: usize| {
            let calls = stream::iter(0..number).map(|_| Repeat::of(self.call(component)));
            calls.buffered(at_once).collect::<Vec<_>>()
        };
        let mut endings = some((repeats / 4).max(8)).await;
        let before = resident();
        endings.extend(some(repeats).await);
        (endings, resident() - before)
    }

    async fn call(&self, component: &Component) -> (Kind, String) {
        let host = Arc::new(Outside::default());
        let called = Caller::new(&self.sandbox, component, host.clone())
            .probe()
            .await;
        // Whatever it did, the log holds no more of it than a call may write.
        let (lines, last) = host.logged();
        assert!(lines <= 4097, "{}: {lines} lines", self.case.name);
        match called {
            Ok(account) => {
                assert_eq!(account.label, "me");
                (Kind::Answers, last)
            }
            Err(error) => (kind_of(&error), error.to_string()),
        }
    }

    async fn loads(&self, repeats: usize) -> (Vec<Repeat>, i64) {
        let some = async |number: usize| {
            let mut endings = Vec::new();
            for _ in 0..number {
                let load =
                    async { refusal(Component::load(&self.sandbox, self.file.clone()).await) };
                endings.push(Repeat::of(load).await);
            }
            endings
        };
        let mut endings = some((repeats / 4).max(1)).await;
        let before = resident();
        endings.extend(some(repeats).await);
        (endings, resident() - before)
    }
}

fn refusal(loaded: Result<Component, LoadError>) -> (Kind, String) {
    match loaded {
        Ok(_) => (
            Kind::Other,
            "it was loaded, and not the time before".to_owned(),
        ),
        // Not the file's fault, so not a verdict on it.
        Err(error @ LoadError::Interrupted(_)) => (Kind::Other, error.to_string()),
        Err(error) => (Kind::Refused, error.to_string()),
    }
}

fn kind_of(error: &CallError) -> Kind {
    match error {
        CallError::Connector(_) => Kind::Error,
        CallError::Trap(_) => Kind::Trap,
        CallError::Limit(Exhausted::Cpu(_)) => Kind::Cpu,
        CallError::Limit(Exhausted::Wall(_)) => Kind::Wall,
        CallError::Limit(Exhausted::Memory(_)) => Kind::Memory,
        CallError::Limit(Exhausted::Table(_)) => Kind::Table,
        CallError::Missing(_) | CallError::Busy(_) => Kind::Other,
    }
}

/// Calls a connector that behaves until the row is over.
async fn neighbour(
    sandbox: Arc<Sandbox>,
    good: Component,
    over: Arc<AtomicBool>,
) -> (Vec<Duration>, Option<String>) {
    let mut times = Vec::new();
    let mut unanswered = None;
    let mut pace = tokio::time::interval(PACE);
    pace.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    while !over.load(Ordering::Relaxed) || times.is_empty() {
        // From when it was due: a thread that is held up begins late.
        let due = pace.tick().await;
        let host = Arc::new(Outside::default());
        if let Err(error) = Caller::new(&sandbox, &good, host).probe().await {
            unanswered = Some(error.to_string());
        }
        times.push(due.elapsed());
    }
    (times, unanswered)
}

/// CPU time of this process.
fn cpu_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    let part = |number: i64| u64::try_from(number).unwrap();
    Duration::from_secs(part(time.tv_sec)) + Duration::from_nanos(part(time.tv_nsec))
}

/// Bytes that this process has in memory.
fn resident() -> i64 {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    let pages: i64 = statm.split(' ').nth(1).unwrap().parse().unwrap();
    pages * 4096
}

impl Row {
    /// The table's first line.
    pub(crate) const HEAD: &str =
        "CPU ms  median ms  worst ms  left KiB  neighbour p99 ms  guest: end";

    /// What is wrong with it, if anything is.
    pub(crate) fn complaint(&self, case: &Case) -> Option<String> {
        let expected = |kind: &Kind| *kind == case.kind;
        if !self.kinds.iter().all(expected) || !self.all_say(&case.says) {
            return Some(format!("{:?} with `{}` was expected", case.kind, case.says));
        }
        if let Some(got) = &self.unanswered {
            return Some(format!("its neighbour got: {got}"));
        }
        if let Some(took) = self.p99().filter(|took| **took > PATIENCE) {
            return Some(format!("its neighbour waited {took:?}"));
        }
        // By the clock a busy machine makes every call late, so CPU time is compared.
        // Compiling has limits of its own.
        let limits = &case.limits;
        let late = match case.kind {
            Kind::Refused => None,
            Kind::Wall => self
                .times
                .first()
                .filter(|took| **took > limits.wall + LATE),
            _ => Some(&self.cpu).filter(|cpu| **cpu > limits.cpu + LATE),
        };
        if let Some(late) = late {
            return Some(format!("it took {late:?}"));
        }
        (self.growth > LEFT).then(|| format!("it left {} KiB behind", self.growth / 1024))
    }

    fn p99(&self) -> Option<&Duration> {
        self.neighbour.get(self.neighbour.len() * 99 / 100)
    }

    /// True if every ending has this text, and is one line.
    fn all_say(&self, says: &str) -> bool {
        let mut endings = self.endings.iter();
        endings.all(|(_, said)| said.contains(says) && !said.contains('\n'))
    }
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ms = |time: Option<&Duration>| time.map_or(0.0, |time| time.as_secs_f64() * 1000.0);
        write!(
            f,
            "{:6.1}  {:9.1}  {:8.1}  {:8}  {:16.1}  {}:",
            ms(Some(&self.cpu)),
            ms(self.times.get(self.times.len() / 2)),
            ms(self.times.last()),
            self.growth / 1024,
            ms(self.p99()),
            self.name,
        )?;
        for (kind, said) in &self.endings {
            write!(f, " {kind} {said}")?;
        }
        Ok(())
    }
}

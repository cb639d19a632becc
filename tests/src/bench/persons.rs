//! How fast persons follow events: workers, latency, a large merge, and the cost of an event as a project grows.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use anyhow::Context;
use sea_orm::{ConnectionTrait, Database, Statement};
use serde_json::{Map, Value};
use shared::{
    config::Config,
    identify::{self, ApplyFacts, CapturedEvent, PersonProcessing},
    ids,
    jobs::{Job, JobId},
    projects::{self, Project},
    secret::Redacted,
};

use super::{Figures, Report};
use crate::{
    Settings, TestApp,
    works::{self, Wire, Works},
};

/// Users of the load on workers, each of whom is identified once, in batches of this size.
const USERS: usize = 6_000;
const BATCH: usize = 100;
/// Rounds of the latency.
const ROUNDS: usize = 300;
/// Events of a project at which the cost of a further one is measured.
const SIZES: [usize; 3] = [10_000, 100_000, 1_000_000];
/// Events that are measured at each size.
const FURTHER: usize = 5_000;

/// All figures of persons.
pub async fn persons(report: &mut Report) -> anyhow::Result<()> {
    on(&Engine { name: "SQLite", postgres: None }, report).await?;
    let Some(database) = report.postgres().await? else { return Ok(()) };
    let measured = on(&Engine { name: "PostgreSQL", postgres: Some(database.url.clone()) }, report).await;
    database.remove().await?;
    measured
}

async fn on(engine: &Engine, report: &mut Report) -> anyhow::Result<()> {
    throughput(engine, report).await?;
    latency(engine, report).await?;
    large_merge(engine, report).await?;
    growth(engine, report).await
}

/// What the figures are of.
struct Engine {
    name: &'static str,
    postgres: Option<String>,
}

struct Bench {
    app: TestApp,
    project: Project,
}

impl Bench {
    async fn start(engine: &Engine) -> anyhow::Result<Self> {
        let app = match engine.postgres.clone() {
            Some(url) => {
                let schema = format!("bench{}", ids::next().simple());
                Database::connect(&url).await?.execute_unprepared(&format!("CREATE SCHEMA {schema}")).await?;
                let change = move |config: &mut Config| {
                    config.database.url = Redacted::new(url);
                    config.database.schema = Some(schema);
                };
                TestApp::with(Settings::with(change)).await
            }
            None => TestApp::new().await,
        };
        app.forget_jobs();
        app.browser().sign_up("bench@example.test").await;
        let statement = Statement::from_string(app.kernel.db.engine(), "SELECT project_token FROM projects");
        let row = app.kernel.db.reader().query_one_raw(statement).await?.context("a project")?;
        let project_token: String = row.try_get("", "project_token")?;
        let project = projects::find_by_token(app.kernel.db.reader(), &project_token).await?.context("a project")?;
        Ok(Self { app, project })
    }

    fn event(&self, name: &str, distinct_id: String, other: Option<String>) -> CapturedEvent {
        let now = self.app.now();
        let mut properties = Map::from_iter([("$current_url".to_owned(), Value::from("https://example.test/a/page"))]);
        if let Some(other) = other {
            properties.insert("$anon_distinct_id".to_owned(), other.into());
        }
        CapturedEvent {
            uuid: ids::next(),
            event: name.to_owned(),
            distinct_id,
            at: now,
            received_at: now,
            properties,
            set: Map::new(),
            set_once: Map::new(),
            unset: Vec::new(),
            person_processing: PersonProcessing::Process,
            may_merge_dangerously: false,
        }
    }

    async fn accept(&self, events: Vec<CapturedEvent>) -> anyhow::Result<()> {
        let tx = self.app.kernel.db.write_tx().await?;
        identify::accept(&self.app.kernel, &tx, &self.project, events).await?;
        Ok(tx.commit().await?)
    }

    /// Has PostgreSQL do now what loading left to its background: a project that grew slowly waits for none of it.
    async fn settle(&self, engine: &Engine) {
        if engine.postgres.is_some() {
            self.app.execute("VACUUM (ANALYZE)").await;
            self.app.execute("CHECKPOINT").await;
        }
    }

    async fn jobs(&self) -> anyhow::Result<VecDeque<JobId>> {
        let sql = format!("SELECT id FROM jobs WHERE name = '{}' AND state = 'queued' ORDER BY id", ApplyFacts::NAME);
        let statement = Statement::from_string(self.app.kernel.db.engine(), sql);
        let rows = self.app.kernel.db.reader().query_all_raw(statement).await?;
        Ok(rows.iter().map(|row| row.try_get("", "id")).collect::<Result<_, _>>()?)
    }
}

#[expect(clippy::cast_precision_loss, reason = "a rate")]
fn rate(count: usize, took: Duration) -> f64 {
    count as f64 / took.as_secs_f64()
}

/// Merges per second that are applied by 1, 2 and 4 workers.
async fn throughput(engine: &Engine, report: &mut Report) -> anyhow::Result<()> {
    for workers in [1, 2, 4] {
        let bench = Bench::start(engine).await?;
        for first in (0..USERS).step_by(BATCH) {
            let identify = |n: usize| bench.event("$identify", format!("user-{n}"), Some(format!("anon-{n}")));
            bench.accept((first..first + BATCH).map(identify).collect()).await?;
        }
        let jobs = Arc::new(Mutex::new(bench.jobs().await?));
        let begin = Instant::now();
        let work = async || {
            loop {
                let next = jobs.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
                let Some(id) = next else { return };
                works::run_once(&bench.app, id).await;
            }
        };
        let running: Vec<_> = (0..workers).map(|_| work()).collect();
        futures_util::future::join_all(running).await;
        let applied = bench.app.number("SELECT COUNT(*) AS number FROM person_facts WHERE is_applied").await;
        anyhow::ensure!(usize::try_from(applied)? == USERS, "{applied} facts are applied");
        let figure = format!("{:.0}/s", rate(USERS, begin.elapsed()));
        let what = format!("{}: $identify applied by {workers} workers, jobs of {BATCH}", engine.name);
        report.told(&what, &figure);
    }
    Ok(())
}

/// From the commit of an accepted `$identify` to the person that can be read.
async fn latency(engine: &Engine, report: &mut Report) -> anyhow::Result<()> {
    let bench = Bench::start(engine).await?;
    let works = Works::start(&bench.app, Wire::default()).await;
    let mut times = Vec::with_capacity(ROUNDS);
    for round in 0..ROUNDS {
        bench.accept(vec![bench.event("$identify", format!("u{round}"), Some(format!("a{round}")))]).await?;
        let begin = Instant::now();
        let sql = format!(
            "SELECT COUNT(*) AS number FROM person_distinct_ids WHERE distinct_id = 'u{round}' AND person_id IS NOT NULL"
        );
        while bench.app.number(&sql).await == 0 {
            anyhow::ensure!(begin.elapsed() < works::PATIENCE, "the person does not appear");
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        times.push(begin.elapsed());
    }
    works.stop().await;
    let figures = Figures::of(times);
    let what = |figure: &str| format!("{}: $identify accepted to person visible, idle, {figure}", engine.name);
    report.told(&what("median"), &format!("{:.1} ms", figures.quantile_ms(0.5)));
    let p99 = figures.quantile_ms(0.99);
    report.held(&what("p99"), &format!("{p99:.1} ms"), "< 500 ms", p99 < 500.0);
    Ok(())
}

/// A merge of a person with 5,000 ids.
async fn large_merge(engine: &Engine, report: &mut Report) -> anyhow::Result<()> {
    let bench = Bench::start(engine).await?;
    for first in (0..5_000).step_by(500) {
        let alias = |n: usize| {
            let mut event = bench.event("$create_alias", "big".to_owned(), None);
            event.properties.insert("alias".to_owned(), format!("big-{n}").into());
            event
        };
        bench.accept((first..first + 500).map(alias).collect()).await?;
    }
    works::run_due(&bench.app).await;
    // The absorbed person is one that no merge had as its target.
    bench.app.execute("UPDATE persons SET is_identified = false").await;
    bench.accept(vec![bench.event("page", "user".to_owned(), None)]).await?;
    works::run_due(&bench.app).await;
    bench.accept(vec![bench.event("$identify", "user".to_owned(), Some("big".to_owned()))]).await?;
    let begin = Instant::now();
    works::run_due(&bench.app).await;
    let took = begin.elapsed().as_secs_f64();
    anyhow::ensure!(bench.app.number("SELECT COUNT(*) AS number FROM persons").await == 1, "not merged");
    let what = format!("{}: merge of a person with 5,000 ids", engine.name);
    report.held(&what, &format!("{:.0} ms", took * 1000.0), "< 1000 ms", took < 1.0);
    Ok(())
}

/// What accepting and applying further events costs at 10^4, 10^5 and 10^6 events.
async fn growth(engine: &Engine, report: &mut Report) -> anyhow::Result<()> {
    let bench = Bench::start(engine).await?;
    let (mut present, mut costs) = (0, Vec::new());
    for size in SIZES {
        while present < size {
            load(&bench, present, 1_000).await?;
            present += 1_000;
        }
        bench.settle(engine).await;
        let begin = Instant::now();
        for _ in (0..FURTHER).step_by(BATCH) {
            load(&bench, present, BATCH).await?;
            present += BATCH;
        }
        costs.push(begin.elapsed().as_secs_f64() * 1e6 / rate(FURTHER, Duration::from_secs(1)));
    }
    let figures: Vec<String> = costs.iter().map(|cost| format!("{cost:.0}")).collect();
    let what = format!("{}: an event, accepted and applied, at 10^4, 10^5, 10^6 events", engine.name);
    report.told(&what, &format!("{} µs", figures.join(", ")));
    let ratio = costs.last().zip(costs.first()).map_or(f64::NAN, |(last, first)| last / first);
    let what = format!("{}: an event at 10^6 / 10^4 events", engine.name);
    report.held(&what, &format!("{ratio:.2}"), "<= 1.5", ratio <= 1.5);
    Ok(())
}

/// Events of which every tenth identifies a further user.
async fn load(bench: &Bench, first: usize, count: usize) -> anyhow::Result<()> {
    let event = |n: usize| {
        let user = n / 10;
        match n % 10 {
            0 => bench.event("$identify", format!("user-{user}"), Some(format!("anon-{user}"))),
            _ => bench.event("page", format!("user-{user}"), None),
        }
    };
    bench.accept((first..first + count).map(event).collect()).await?;
    works::run_due(&bench.app).await;
    Ok(())
}

use super::{Behaviour, Subject, TestHost, burst, delivery, golden};
use crate::{At, Delivery, Outcome, Sink, SinkFactory, SinkPlan, Table, Value, Verdict};
use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, sleep, timeout};

/// How long an attempt may take where nothing is in its way, with everything started anew.
const PATIENCE: Duration = Duration::from_secs(15);
/// The deadline of an attempt that is dropped.
const DEADLINE: Duration = Duration::from_millis(300);
/// How long what a sink keeps running may take to end.
const END: Duration = Duration::from_secs(5);
/// Attempts at once.
const AT_ONCE: usize = 16;
/// Events of the burst.
const BURST: usize = 200;

/// What came of one check.
pub type Result = std::result::Result<String, String>;

/// One check of the suite.
#[derive(Debug, Clone)]
pub struct Check {
    /// What must hold.
    pub name: &'static str,
    /// What was seen, or what is wrong; none: a destination of this kind cannot behave so.
    pub result: Option<Result>,
}

/// Everything the suite looked at.
#[derive(Debug, Clone, Default)]
pub struct Report {
    /// In the order they were made.
    pub checks: Vec<Check>,
}

impl Report {
    /// Whether nothing is wrong.
    #[must_use]
    pub fn is_ok(&self) -> bool {
        self.checks.iter().all(|check| !matches!(check.result, Some(Err(_))))
    }

    /// For a test.
    ///
    /// # Panics
    /// When something is wrong: with all of it.
    pub fn assert(&self) {
        assert!(self.is_ok(), "the sink does not conform:\n{self}");
    }

    /// How many checks were made; those left out do not count.
    #[must_use]
    pub fn made(&self) -> usize {
        self.checks.iter().filter(|check| check.result.is_some()).count()
    }

    fn add(&mut self, name: &'static str, result: Option<Result>) {
        self.checks.push(Check { name, result });
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for Check { name, result } in &self.checks {
            match result {
                Some(Ok(seen)) => writeln!(f, "ok    {name}: {seen}")?,
                Some(Err(wrong)) => writeln!(f, "FAIL  {name}: {wrong}")?,
                None => writeln!(f, "-     {name}: cannot happen with this kind of destination")?,
            }
        }
        Ok(())
    }
}

/// Puts a sink through all of it.
pub async fn conform(factory: &dyn SinkFactory, subject: &dyn Subject) -> Report {
    let mut report = Report::default();
    let suite = Suite { factory, subject };
    let Some(table) = subject.settings(Behaviour::Takes).await else {
        report
            .add("settings are given", Some(Err("the subject has none for a destination that takes".into())));
        return report;
    };
    report.add("settings are checked", Some(suite.settings(&table)));
    report.add("every shape of event is delivered", suite.with(Behaviour::Takes, Scene::Golden).await);
    report.add("a burst is delivered, and a repeat", suite.with(Behaviour::Takes, Scene::Burst).await);
    report.add("built again, it works again", suite.with(Behaviour::Takes, Scene::Golden).await);
    report.add(
        "an attempt dropped at its deadline leaves the next alone",
        suite.with(Behaviour::Slow, Scene::Slow).await,
    );
    report.add(
        "a destination that breaks fails the attempt, and is found again",
        suite.with(Behaviour::Crashes, Scene::Breaks).await,
    );
    report.add("what is no answer is no success", suite.with(Behaviour::Garbage, Scene::Breaks).await);
    report.add("a second answer changes nothing", suite.with(Behaviour::Duplicates, Scene::Burst).await);
    report.add("a rejection is one", suite.with(Behaviour::Rejects, Scene::Says(Verdict::Reject)).await);
    report.add(
        "a destination that is gone suspends",
        suite.with(Behaviour::Gone, Scene::Says(Verdict::Suspend)).await,
    );
    report
}

#[derive(Clone, Copy)]
enum Scene {
    Golden,
    Burst,
    Slow,
    Breaks,
    Says(Verdict),
}

struct Suite<'a> {
    factory: &'a dyn SinkFactory,
    subject: &'a dyn Subject,
}

impl Suite<'_> {
    fn plan(&self, table: &Table) -> std::result::Result<Arc<dyn SinkPlan>, String> {
        let told = |errors: Vec<_>| errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ");
        self.factory.check(table).map_err(told)
    }

    fn settings(&self, table: &Table) -> Result {
        let plan = self.plan(table)?;
        if plan.fingerprint() != self.plan(table)?.fingerprint() {
            return Err("the fingerprint of the same settings is not the same".into());
        }
        tidy("the destination", &plan.destination(), table)?;
        let mut wrong = table.clone();
        wrong.insert("no-such-key".into(), Value::Boolean(true));
        let errors = self.factory.check(&wrong).err().unwrap_or_default();
        if !errors.iter().any(|error| error.at == At::Key && error.path.to_string() == "no-such-key") {
            return Err("a key that it does not know is no error".into());
        }
        let schema: serde_json::Value = serde_json::from_str(&self.factory.schema())
            .map_err(|error| format!("the schema is no JSON: {error}"))?;
        if schema.get("type").and_then(serde_json::Value::as_str) != Some("object") {
            return Err("the schema is not that of an object".into());
        }
        if let Some(known) = schema.get("properties").and_then(serde_json::Value::as_object)
            && let Some(missing) = table.keys().find(|key| !known.contains_key(*key))
        {
            return Err(format!("the schema does not know {missing:?}"));
        }
        Ok(plan.destination())
    }

    /// Builds the sink for a destination that behaves like this, plays the scene, and sees everything end.
    async fn with(&self, behaviour: Behaviour, scene: Scene) -> Option<Result> {
        let table = self.subject.settings(behaviour).await?;
        let host = TestHost::new();
        let played = async {
            let context = self.subject.context(Arc::clone(&host) as Arc<_>);
            let plan = self.plan(&table)?;
            let built = timeout(PATIENCE, plan.build(&context)).await;
            let sink = built.map_err(|_| "the build does not end")?.map_err(|error| error.to_string())?;
            let bench = Bench { sink, table: &table };
            match scene {
                Scene::Golden => self.golden(&bench).await,
                Scene::Burst => self.burst(bench).await,
                Scene::Slow => bench.slow().await,
                Scene::Breaks => bench.breaks().await,
                Scene::Says(verdict) => bench.says(verdict).await,
            }
        };
        let played: Result = played.await;
        let ended = host.ended(END).await;
        Some(played.and_then(|seen| {
            if ended { Ok(seen) } else { Err(format!("what it keeps running does not end within {END:?}")) }
        }))
    }

    async fn golden(&self, bench: &Bench<'_>) -> Result {
        let all = golden();
        for delivery in &all {
            bench.delivered(delivery).await?;
        }
        self.arrived(&all).await?;
        Ok(format!("{} events", all.len()))
    }

    async fn burst(&self, bench: Bench<'_>) -> Result {
        let all = burst(BURST);
        let started = Instant::now();
        let mut tasks = tokio::task::JoinSet::new();
        for mine in all.chunks(BURST.div_ceil(AT_ONCE)) {
            let (sink, mine) = (Arc::clone(&bench.sink), mine.to_vec());
            tasks.spawn(async move {
                let mut outcomes = Vec::new();
                for delivery in &mine {
                    outcomes
                        .push((Arc::clone(&delivery.id), timeout(PATIENCE, sink.deliver(delivery)).await));
                }
                outcomes
            });
        }
        while let Some(outcomes) = tasks.join_next().await {
            for (id, outcome) in outcomes.map_err(|error| error.to_string())? {
                bench.judge(&id, Verdict::Delivered, outcome.ok())?;
            }
        }
        let took = started.elapsed();
        self.arrived(&all).await?;
        let mut again = delivery("evt_burst_0");
        again.attempt = 2;
        bench.delivered(&again).await?;
        Ok(format!("{BURST} events, {AT_ONCE} at a time, in {} ms", took.as_millis()))
    }

    async fn arrived(&self, all: &[Delivery]) -> std::result::Result<(), String> {
        let Some(arrived) = self.subject.arrived().await else { return Ok(()) };
        let arrived: BTreeSet<String> = arrived.into_iter().collect();
        match all.iter().find(|delivery| !arrived.contains(&*delivery.id)) {
            Some(lost) => Err(format!("{} was delivered and did not arrive", lost.id)),
            None => Ok(()),
        }
    }
}

struct Bench<'a> {
    sink: Arc<dyn Sink>,
    table: &'a Table,
}

impl Bench<'_> {
    async fn attempt(&self, delivery: &Delivery) -> Option<Outcome> {
        timeout(PATIENCE, self.sink.deliver(delivery)).await.ok()
    }

    async fn delivered(&self, delivery: &Delivery) -> std::result::Result<(), String> {
        self.judge(&delivery.id, Verdict::Delivered, self.attempt(delivery).await)
    }

    fn judge(&self, id: &str, wanted: Verdict, outcome: Option<Outcome>) -> std::result::Result<(), String> {
        let Some(outcome) = outcome else { return Err(format!("{id}: no outcome within {PATIENCE:?}")) };
        if outcome.verdict != Verdict::Delivered {
            tidy("the reason", &outcome.reason, self.table)?;
        }
        if outcome.verdict == wanted {
            return Ok(());
        }
        Err(format!("{id}: expected {wanted:?}, got {:?} ({})", outcome.verdict, outcome.reason))
    }

    async fn slow(&self) -> Result {
        if let Ok(outcome) = timeout(DEADLINE, self.sink.deliver(&delivery("evt_first"))).await {
            return Err(format!("an outcome without an answer: {outcome:?}"));
        }
        self.delivered(&delivery("evt_second")).await?;
        Ok(format!("dropped after {} ms", DEADLINE.as_millis()))
    }

    /// The first attempt must not succeed; a later one must, soon.
    async fn breaks(&self) -> Result {
        let first = timeout(Duration::from_secs(2), self.sink.deliver(&delivery("evt_first"))).await;
        let told = match first {
            Err(_) => String::from("no outcome"),
            Ok(outcome) if matches!(outcome.verdict, Verdict::Failed { .. }) => {
                tidy("the reason", &outcome.reason, self.table)?;
                outcome.reason.into_owned()
            }
            Ok(outcome) => return Err(format!("expected a failure, got {outcome:?}")),
        };
        let started = Instant::now();
        loop {
            let second = self.attempt(&delivery("evt_second")).await;
            if second.as_ref().is_some_and(|outcome| outcome.verdict == Verdict::Delivered) {
                return Ok(format!("{told}; delivered again {} ms later", started.elapsed().as_millis()));
            }
            if started.elapsed() > PATIENCE {
                return Err(format!("not found again: {second:?}"));
            }
            sleep(Duration::from_millis(50)).await;
        }
    }

    async fn says(&self, verdict: Verdict) -> Result {
        let outcome = self.attempt(&delivery("evt_first")).await;
        let reason = outcome.as_ref().map(|outcome| outcome.reason.to_string()).unwrap_or_default();
        self.judge("evt_first", verdict, outcome)?;
        Ok(reason)
    }
}

/// What people read is one line, not too long, and holds no secret.
fn tidy(what: &str, text: &str, table: &Table) -> std::result::Result<(), String> {
    if text.trim().is_empty() {
        return Err(format!("{what} is empty"));
    }
    if text.contains(char::is_control) || text.len() > 2000 {
        return Err(format!("{what} is not one line of bounded length: {text:?}"));
    }
    let mut secrets = Vec::new();
    table.values().for_each(|value| collect(value, &mut secrets));
    if secrets.iter().any(|secret| secret.len() > 3 && text.contains(secret.as_str())) {
        return Err(format!("{what} holds a secret"));
    }
    Ok(())
}

fn collect(value: &Value, secrets: &mut Vec<String>) {
    match value {
        Value::Secret(secret) => secrets.push(secret.expose().to_owned()),
        Value::Table(table) => table.values().for_each(|value| collect(value, secrets)),
        Value::Array(values) => values.iter().for_each(|value| collect(value, secrets)),
        _ => {}
    }
}

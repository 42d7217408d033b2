//! Random work against a model of what must be there.

use super::*;
use crate::ids::MessageKey;
use crate::policy::Window;
use crate::spool::Parked;
use proptest::prelude::*;
use proptest::test_runner::FileFailurePersistence;
use std::collections::BTreeMap;

#[derive(Debug, Clone)]
enum Step {
    Append { targets: u8, key: Option<u8> },
    Read { endpoint: u8, count: usize },
    Settle { endpoint: u8, nth: usize, dead: bool },
    Park { endpoint: u8, nth: usize, attempts: u32 },
    Lease { endpoint: u8 },
    Reopen,
    Kill,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (0_u8..8, proptest::option::of(0_u8..12)).prop_map(|(targets, key)| Step::Append { targets, key }),
        4 => (0_u8..3, 1_usize..5).prop_map(|(endpoint, count)| Step::Read { endpoint, count }),
        5 => (0_u8..3, 0_usize..6, any::<bool>())
            .prop_map(|(endpoint, nth, dead)| Step::Settle { endpoint, nth, dead }),
        3 => (0_u8..3, 0_usize..6, 1_u32..9)
            .prop_map(|(endpoint, nth, attempts)| Step::Park { endpoint, nth, attempts }),
        1 => (0_u8..3).prop_map(|endpoint| Step::Lease { endpoint }),
        1 => Just(Step::Reopen),
        1 => Just(Step::Kill),
    ]
}

/// By endpoint: the deliveries that wait, by place, with their message and attempts.
type Model = [BTreeMap<Seq, (String, Option<u32>)>; 3];

fn uid(endpoint: usize) -> EndpointUid {
    EndpointUid(u32::try_from(endpoint).unwrap() + 1)
}

/// What an actor has of an endpoint's deliveries: what was parked when it began, and what it has read since then.
struct Hands {
    lease: Lease,
    window: Window,
    cursor: Option<Seq>,
}

impl Hands {
    async fn take_over(rig: &Rig, endpoint: usize) -> Self {
        let lease = rig.lease(uid(endpoint)).await;
        let mut window = Window::new(crate::policy::Ordering::None);
        for parked in rig.spool.parked(&lease).await.unwrap() {
            assert!(window.add(parked.seq, parked.key, None));
        }
        Self { lease, window, cursor: None }
    }

    async fn of_all(rig: &Rig) -> Vec<Self> {
        let mut all = Vec::new();
        for endpoint in 0..3 {
            all.push(Self::take_over(rig, endpoint).await);
        }
        all
    }

    /// Reads what comes next. What is parked it has, or has settled.
    async fn read(&mut self, rig: &Rig, count: usize) -> Vec<Seq> {
        let read = rig.spool.read(&self.lease, self.cursor, limit(count)).await.unwrap();
        for pending in &read {
            self.cursor = Some(pending.event.seq);
            if pending.parked.is_none() {
                assert!(self.window.add(pending.event.seq, pending.event.key(), None));
            }
        }
        read.iter().map(|pending| pending.event.seq).collect()
    }

    fn low(&self) -> Seq {
        self.window.low(self.cursor.map_or(Seq(0), |cursor| Seq(cursor.0 + 1)))
    }
}

async fn run(steps: Vec<Step>) {
    let mut rig = Rig::new();
    let mut model = Model::default();
    let (mut dead, mut keys) = ([0_u64; 3], BTreeMap::new());
    let mut hands = Hands::of_all(&rig).await;
    for (number, step) in steps.into_iter().enumerate() {
        match step {
            Step::Append { targets, key } => {
                let to: Vec<_> = (0..3).filter(|bit| targets & (1 << bit) != 0).collect();
                let uids: Vec<_> = to.iter().map(|bit| uid(*bit)).collect();
                let message = format!("m{number}");
                let new = key.map_or_else(|| event(&message, &uids), |key| keyed(&message, key, 1, &uids));
                let accepted = rig.append(vec![new]).await[0];
                let known = key.and_then(|key| keys.get(&key).copied());
                assert_eq!(accepted.duplicate, known.is_some());
                if let Some(known) = known {
                    assert_eq!(accepted.id, known);
                    continue;
                }
                if let Some(key) = key {
                    keys.insert(key, accepted.id);
                }
                for endpoint in to {
                    let after = model[endpoint].keys().next_back().copied();
                    let read = rig.spool.read(&hands[endpoint].lease, after, limit(9)).await.unwrap();
                    let [new] = &read[..] else { panic!("one new delivery, not {read:?}") };
                    model[endpoint].insert(new.event.seq, (message.clone(), None));
                }
            }
            Step::Read { endpoint, count } => {
                let endpoint = usize::from(endpoint);
                let after = hands[endpoint].cursor;
                let rows = model[endpoint].keys().filter(|seq| Some(**seq) > after);
                let wanted: Vec<Seq> = rows.take(count).copied().collect();
                assert_eq!(hands[endpoint].read(&rig, count).await, wanted);
            }
            Step::Settle { endpoint, nth, dead: dies } => {
                let endpoint = usize::from(endpoint);
                let own = &mut hands[endpoint];
                let Some(seq) = own.window.upcoming().nth(nth) else { continue };
                own.window.settle(seq);
                assert!(model[endpoint].remove(&seq).is_some());
                dead[endpoint] += u64::from(dies);
                let result = if dies { Err(DeadReason::Exhausted) } else { Ok(()) };
                let settlement = Settlement { result, note: note(unix_ms(&SystemClock)), low: own.low() };
                rig.spool.settle(&own.lease, seq, settlement);
            }
            Step::Park { endpoint, nth, attempts } => {
                let endpoint = usize::from(endpoint);
                let own = &hands[endpoint];
                let Some(seq) = own.window.upcoming().nth(nth) else { continue };
                let row = model[endpoint].get_mut(&seq).expect("what it has waits");
                row.1 = Some(attempts);
                let key = MessageKey::of(&row.0);
                rig.spool.park(&own.lease, Parked { seq, key, due_ms: 9, wait_ms: 1, attempts }, note(9));
            }
            Step::Lease { endpoint } => {
                let endpoint = usize::from(endpoint);
                hands[endpoint] = Hands::take_over(&rig, endpoint).await;
            }
            Step::Reopen | Step::Kill => {
                if matches!(step, Step::Kill) {
                    rig.written(&hands[0].lease).await;
                    let killed = rig.killed();
                    rig.spool.close().await.unwrap();
                    rig = killed;
                } else {
                    rig = rig.reopen().await;
                }
                hands = Hands::of_all(&rig).await;
            }
        }
        check(&rig, &hands, &model, dead).await;
    }
}

async fn check(rig: &Rig, hands: &[Hands], model: &Model, dead: [u64; 3]) {
    rig.written(&hands[0].lease).await;
    let mut waiting: std::collections::BTreeSet<Seq> = std::collections::BTreeSet::new();
    for endpoint in 0..3 {
        let rows = &model[endpoint];
        let read = rig.all(&hands[endpoint].lease).await;
        let read: Vec<_> = read
            .iter()
            .map(|one| {
                (one.event.seq, (one.event.message_id.to_string(), one.parked.map(|parked| parked.attempts)))
            })
            .collect();
        assert_eq!(read, rows.iter().map(|(seq, row)| (*seq, row.clone())).collect::<Vec<_>>());
        let parked = rows.values().filter(|row| row.1.is_some()).count();
        assert_eq!(rig.spool.parked(&hands[endpoint].lease).await.unwrap().len(), parked);
        let bytes: usize = rows.values().map(|row| event(&row.0, &[]).body.len()).sum();
        let wanted = ((rows.len() - parked) as u64, parked as u64, dead[endpoint], bytes as u64);
        assert_eq!(rig.counts(uid(endpoint)), wanted);
        waiting.extend(rows.keys());
    }
    assert!(rig.rows("events") >= waiting.len());
    if dead == [0; 3] {
        assert_eq!(rig.rows("events"), waiting.len());
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 12,
        max_shrink_iters: 200,
        failure_persistence: Some(Box::new(FileFailurePersistence::Direct("tests/regressions/spool-model.txt"))),
        ..ProptestConfig::default()
    })]

    #[test]
    fn the_spool_does_what_a_simple_model_does(steps in proptest::collection::vec(step(), 1..40)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(run(steps));
    }
}

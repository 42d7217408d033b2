use super::*;
use crate::ids::MessageKey;
use crate::spool::{Committed, EndpointState, Parked, SpoolError, Wake};

fn parked(seq: Seq, message: &str, attempts: u32) -> Parked {
    Parked { seq, key: MessageKey::of(message), due_ms: 5_000, wait_ms: 700, attempts }
}

#[tokio::test]
async fn an_event_is_read_until_it_is_settled() {
    let rig = Rig::new();
    let accepted = rig.append(vec![event("m1", &[A]), event("m2", &[A]), event("m3", &[])]).await;
    assert_eq!(accepted.iter().map(|one| one.deliveries).collect::<Vec<_>>(), [1, 1, 0]);
    let lease = rig.lease(A).await;
    let read = rig.all(&lease).await;
    assert_eq!(messages(&read), ["m1", "m2"]);
    let first = &read[0].event;
    assert_eq!((first.id, &*first.body), (accepted[0].id, br#"{"message":"m1"}"#.as_slice()));
    assert_eq!((first.account.as_deref(), first.generation), (Some("acme"), Generation(7)));

    rig.settle(&lease, first.seq, Ok(()));
    rig.written(&lease).await;
    assert_eq!(messages(&rig.all(&lease).await), ["m2"]);
    rig.settle(&lease, read[1].event.seq, Ok(()));
    rig.settle(&lease, read[1].event.seq, Ok(()));
    rig.written(&lease).await;
    assert_eq!(rig.counts(A), (0, 0, 0, 0));
    assert_eq!((rig.rows("events"), rig.rows("deliveries")), (0, 0));
}

#[tokio::test]
async fn a_wake_carries_the_new_events_and_the_one_before_them() {
    let rig = Rig::new();
    let wake = |event| match event {
        SpoolEvent::Committed(Committed { mut wakes }) => wakes.pop(),
        _ => None,
    };
    rig.append(vec![event("m1", &[A])]).await;
    let Wake { after, events, .. } = rig.hear(wake);
    assert_eq!((after, events.len()), (None, 1));
    rig.append(vec![event("m2", &[A]), event("m3", &[A])]).await;
    let next = rig.hear(wake);
    assert_eq!(next.after, Some(events[0].seq));
    assert_eq!(next.events.iter().map(|event| &*event.message_id).collect::<Vec<_>>(), ["m2", "m3"]);

    let rig = rig.reopen().await;
    rig.append(vec![event("m4", &[A])]).await;
    assert_eq!(rig.hear(wake).after, Some(next.events[1].seq));
}

#[tokio::test]
async fn an_endpoint_that_starves_is_woken_when_its_settlement_is_written() {
    let rig = Rig::new();
    rig.append(vec![event("m1", &[A])]).await;
    let lease = rig.lease(A).await;
    let seq = rig.all(&lease).await[0].event.seq;
    lease.unwritten.starve();
    rig.settle(&lease, seq, Ok(()));
    rig.hear(|event| match event {
        SpoolEvent::Committed(Committed { wakes }) => {
            wakes.iter().find(|wake| wake.events.is_empty()).map(drop)
        }
        _ => None,
    });
    assert_eq!(lease.unwritten.count(), 0);
}

#[tokio::test]
async fn what_waits_and_what_is_parked_survive_a_kill() {
    let rig = Rig::new();
    rig.append((0..5).map(|n| event(&format!("m{n}"), &[A])).collect()).await;
    let lease = rig.lease(A).await;
    let read = rig.all(&lease).await;
    rig.settle(&lease, read[0].event.seq, Ok(()));
    rig.spool.park(&lease, parked(read[1].event.seq, "m1", 3), note(1));
    rig.written(&lease).await;

    let killed = rig.killed();
    assert_eq!(killed.counts(A), (3, 1, 0, rig.counts(A).3));
    let lease = killed.lease(A).await;
    let again = killed.all(&lease).await;
    assert_eq!(messages(&again), ["m1", "m2", "m3", "m4"]);
    assert_eq!(again[0].parked, Some(parked(read[1].event.seq, "m1", 3)));
    assert_eq!(killed.spool.parked(&lease).await.unwrap(), [parked(read[1].event.seq, "m1", 3)]);
    killed.settle(&lease, read[1].event.seq, Ok(()));
    killed.written(&lease).await;
    assert!(killed.spool.parked(&lease).await.unwrap().is_empty());
    assert_eq!(killed.counts(A).1, 0);
}

#[tokio::test]
async fn an_older_lease_is_fenced_off() {
    let rig = Rig::new();
    rig.append(vec![event("m1", &[A])]).await;
    let old = rig.lease(A).await;
    let seq = rig.all(&old).await[0].event.seq;
    let new = rig.lease(A).await;
    rig.settle(&old, seq, Ok(()));
    rig.spool.park(&old, parked(seq, "m1", 1), note(1));
    rig.written(&old).await;
    assert_eq!(rig.counts(A).0, 1);
    assert!(matches!(rig.spool.read(&old, None, limit(1)).await, Err(SpoolError::Fenced)));
    assert_eq!(rig.spool.fetch(&new, vec![seq, Seq(999)]).await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_body_goes_with_the_last_delivery_of_its_event() {
    let rig = Rig::new();
    rig.append(vec![event("m1", &[A, B, A])]).await;
    for (uid, left) in [(A, 1), (B, 0)] {
        let lease = rig.lease(uid).await;
        let seq = rig.all(&lease).await[0].event.seq;
        rig.settle(&lease, seq, Ok(()));
        rig.written(&lease).await;
        assert_eq!((rig.rows("events"), rig.rows("refs")), (left, left));
    }
}

#[tokio::test]
async fn a_dead_letter_keeps_its_event() {
    let rig = Rig::new();
    rig.append(vec![event("m1", &[A, B])]).await;
    let (a, b) = (rig.lease(A).await, rig.lease(B).await);
    let seq = rig.all(&a).await[0].event.seq;
    rig.settle(&a, seq, Err(DeadReason::Rejected));
    rig.settle(&b, seq, Ok(()));
    rig.written(&b).await;
    assert_eq!(rig.counts(A), (0, 0, 1, 0));
    assert_eq!((rig.rows("events"), rig.rows("dead")), (1, 1));
}

#[tokio::test]
async fn reading_goes_on_after_the_last_one_read_and_obeys_both_limits() {
    let rig = Rig::new();
    rig.append((0..9).map(|n| event(&format!("m{n}"), &[A])).collect()).await;
    let lease = rig.lease(A).await;
    let first = rig.spool.read(&lease, None, limit(4)).await.unwrap();
    assert_eq!(messages(&first), ["m0", "m1", "m2", "m3"]);
    let tight = ReadLimit { count: NonZeroUsize::MAX, bytes: 1 };
    let next = rig.spool.read(&lease, Some(first[3].event.seq), tight).await.unwrap();
    assert_eq!(messages(&next), ["m4"]);
}

#[tokio::test]
async fn what_people_look_at_takes_no_turn_from_endpoints() {
    let rig = Rig::new();
    rig.append(vec![event("m1", &[A])]).await;
    let lease = rig.lease(A).await;
    let (say, mut begun) = tokio::sync::mpsc::unbounded_channel();
    let (release, held) = crossbeam_channel::bounded::<()>(0);
    let mut looks = tokio::task::JoinSet::new();
    for _ in 0..4 {
        let (say, held) = (say.clone(), held.clone());
        looks.spawn(rig.spool.look(move |_| {
            let _ = say.send(());
            let _ = held.recv();
            Ok(())
        }));
    }
    for _ in 0..2 {
        begun.recv().await.unwrap();
    }
    let read = tokio::time::timeout(TIME, rig.spool.read(&lease, None, limit(9))).await;
    drop(release);
    assert_eq!(messages(&read.expect("it waits for nobody").unwrap()), ["m1"]);
    while let Some(look) = looks.join_next().await {
        look.unwrap().unwrap();
    }
}

#[tokio::test]
async fn an_endpoint_has_one_number_for_ever_and_remembers_its_state() {
    let rig = Rig::new();
    let acme = Identity { account: Some(Arc::from("acme")), ..identity("orders") };
    let first = rig.spool.register(vec![identity("orders"), acme.clone(), identity("orders")]).await.unwrap();
    assert_eq!(first[0], first[2]);
    assert_ne!(first[0], first[1]);
    let pauses = crate::policy::Pauses::of([(1, 2), (3, 4), (0, 0), (0, 0)], Some(9));
    let wait_until_ms = Some(7);
    let state =
        EndpointState { suspended: Some((5, 6)), wait_until_ms, wait_ms: 8, removed_ms: None, pauses };
    rig.spool.put_endpoint_state(first[1], state);
    assert_eq!(rig.spool.endpoint_state(first[1]), state);
    rig.append(vec![event("m1", &[first[1]])]).await;
    let rig = rig.reopen().await;
    assert_eq!(rig.spool.register(vec![acme.clone()]).await.unwrap(), [first[1]]);
    assert_eq!(rig.spool.endpoint_state(first[1]), state);
    let backlogs = rig.spool.backlogs();
    assert_eq!((backlogs.len(), &backlogs[0].identity, backlogs[0].ready), (1, &acme, 1));
    assert!(backlogs[0].oldest_ms.is_some());
}

#[tokio::test]
async fn very_many_endpoints_are_numbered_in_parts_and_keep_their_numbers() {
    let names = || (0..10_000).map(|number| identity(&format!("endpoint-{number}"))).collect::<Vec<_>>();
    let rig = Rig::new();
    let first = rig.spool.register(names()).await.unwrap();
    assert_eq!(first.iter().collect::<std::collections::HashSet<_>>().len(), 10_000);
    assert_eq!(rig.spool.identity(first[9_999]), Some(identity("endpoint-9999")));
    let rig = rig.killed();
    assert_eq!(rig.spool.register(names()).await.unwrap(), first);
    let more = rig.spool.register(vec![identity("one-more")]).await.unwrap();
    assert!(!first.contains(&more[0]));
    assert_eq!(rig.spool.known().len(), 10_001);
}

#[tokio::test]
async fn what_waits_while_nobody_writes_lies_in_the_database_and_not_in_memory() {
    let rig = Rig::new();
    rig.append((0..100).map(|n| event(&format!("m{n}"), &[A])).collect()).await;
    rig.until("its rows are in the database", |rig| rig.spool.store().unwrap().in_memory() == 0).await;
    for rig in [rig.killed(), rig] {
        assert_eq!(rig.all_of(A).await.len(), 100);
    }
}

#[tokio::test]
async fn a_removed_endpoint_leaves_dead_letters_but_not_what_came_later() {
    let rig = Rig::new();
    rig.append((0..2500).map(|n| event(&format!("m{n}"), &[A])).collect()).await;
    rig.spool.remove_endpoint(A);
    rig.append(vec![event("later", &[A])]).await;
    let mut died = 0;
    while died < 2500 {
        died += rig.hear(|event| match event {
            SpoolEvent::Died { endpoint: A, reason: DeadReason::EndpointRemoved, count } => Some(count),
            _ => None,
        });
    }
    rig.until("the rest is dead", |rig| rig.counts(A).2 == 2500).await;
    let lease = rig.lease(A).await;
    assert_eq!(messages(&rig.all(&lease).await), ["later"]);
}

#[tokio::test]
async fn a_second_daemon_is_told_who_holds_the_folder() {
    let rig = Rig::new();
    let listener = Box::new(drop);
    let again = EmbeddedSpool::open(&rig.config, rig.dedup, Arc::new(SystemClock), &Metrics::new(), listener);
    let error = again.err().expect("it is locked").to_string();
    assert!(error.contains(&format!("process {}", std::process::id())), "{error}");
    assert!(rig.folder.path().exists());
}

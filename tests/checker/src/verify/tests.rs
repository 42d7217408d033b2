use super::ledger::Ledger;
use super::{Account, Report, Subscription};
use crate::event::Event;
use crate::log::{Attempt, Outcome, Receipt};

const BYTES: usize = 200;

fn attempt(number: u64, outcome: Outcome) -> Attempt {
    Attempt {
        number,
        outcome,
        status: if outcome == Outcome::Ok { 202 } else { 0 },
        id: if outcome == Outcome::Ok { format!("evt_{number}") } else { String::new() },
        deliveries: u32::from(outcome == Outcome::Ok),
        digest: Event { number }.digest(BYTES),
        sent_us: 100,
        took_us: 10,
    }
}

fn receipt(number: u64) -> Receipt {
    Receipt {
        endpoint: "acme".to_owned(),
        number: Some(number),
        id: format!("evt_{number}"),
        attempt: 1,
        digest: Event { number }.digest(BYTES),
        answered: 200,
        authorized: true,
        at_us: 200,
    }
}

fn compare(attempts: &[Attempt], receipts: &[Receipt]) -> Report {
    let mut ledger = Ledger::new(vec![Subscription::all("acme")]);
    attempts.iter().cloned().for_each(|attempt| ledger.attempt("main", attempt));
    receipts.iter().for_each(|receipt| ledger.receipt(receipt));
    ledger.close()
}

fn broken(attempts: &[Attempt], receipts: &[Receipt]) -> String {
    let verdict = compare(attempts, receipts).verdict(0).expect_err("must be noticed");
    verdict.lines().next().unwrap_or_default().to_owned()
}

fn accepted(numbers: std::ops::Range<u64>) -> Vec<Attempt> {
    numbers.map(|number| attempt(number, Outcome::Ok)).collect()
}

#[test]
fn what_arrived_once_and_in_order_is_fine() {
    let receipts: Vec<_> = (0..8).map(receipt).collect();
    let report = compare(&accepted(0..8), &receipts);
    assert_eq!(report.verdict(0), Ok(()));
    assert_eq!(report.endpoints["acme"].expected, 8);
    assert_eq!(report.endpoints["acme"].p50_us, 100);
}

#[test]
fn an_accepted_event_that_did_not_arrive_is_lost() {
    assert_eq!(broken(&accepted(0..2), &[receipt(0)]), "1 lost");
}

#[test]
fn an_attempt_that_was_turned_away_is_no_arrival() {
    let turned_away = Receipt { answered: 500, ..receipt(0) };
    assert_eq!(broken(&accepted(0..1), std::slice::from_ref(&turned_away)), "1 lost");
    assert_eq!(compare(&accepted(0..1), &[turned_away, receipt(0)]).verdict(0), Ok(()));
}

#[test]
fn an_event_of_unknown_outcome_may_arrive_or_not() {
    let attempts = [attempt(0, Outcome::Ok), attempt(1, Outcome::Unknown)];
    assert_eq!(compare(&attempts, &[receipt(0)]).verdict(0), Ok(()));
    assert_eq!(compare(&attempts, &[receipt(0), receipt(1)]).verdict(0), Ok(()));
}

#[test]
fn an_event_that_was_refused_or_never_published_is_unexpected() {
    let attempts = [attempt(0, Outcome::Ok), attempt(1, Outcome::Fail)];
    assert_eq!(broken(&attempts, &[receipt(0), receipt(1)]), "1 unexpected");
    assert_eq!(broken(&attempts, &[receipt(0), receipt(9)]), "1 unexpected");
}

#[test]
fn repeats_are_counted_and_only_so_many_are_fine() {
    let report = compare(&accepted(0..1), &[receipt(0), receipt(0), receipt(0)]);
    assert_eq!(report.duplicated(), 2);
    assert_eq!(report.verdict(2), Ok(()));
    assert!(report.verdict(1).is_err());
}

#[test]
fn one_event_under_two_ids_is_unexpected() {
    let other = Receipt { id: "evt_other".to_owned(), ..receipt(0) };
    assert_eq!(
        broken(&[attempt(0, Outcome::Unknown), attempt(1, Outcome::Ok)], &[receipt(1), receipt(0), other]),
        "1 unexpected, 1 out of order"
    );
}

#[test]
fn an_event_answered_with_two_ids_is_split() {
    let again = Attempt { id: "evt_again".to_owned(), ..attempt(0, Outcome::Ok) };
    assert_eq!(broken(&[attempt(0, Outcome::Ok), again], &[receipt(0)]), "1 answered with different ids");
}

#[test]
fn a_changed_body_is_corrupt() {
    assert_eq!(broken(&accepted(0..1), &[Receipt { digest: 1, ..receipt(0) }]), "1 corrupt");
}

#[test]
fn other_credentials_are_noticed() {
    assert_eq!(
        broken(&accepted(0..1), &[Receipt { authorized: false, ..receipt(0) }]),
        "1 with wrong credentials"
    );
}

#[test]
fn an_event_at_an_endpoint_that_does_not_want_it_is_misrouted() {
    let stray = Receipt { endpoint: "nobody".to_owned(), ..receipt(0) };
    assert_eq!(broken(&accepted(0..1), &[receipt(0), stray]), "1 misrouted");

    let only_sent = Subscription { events: vec!["sent".to_owned()], ..Subscription::all("acme") };
    let mut ledger = Ledger::new(vec![only_sent]);
    ledger.attempt("main", Attempt { deliveries: 0, ..attempt(1, Outcome::Ok) });
    ledger.receipt(&receipt(1));
    assert_eq!(ledger.close().endpoints["acme"].misrouted, 1);
}

#[test]
fn an_event_at_the_endpoint_of_another_account_is_misrouted_and_lost() {
    let of = |endpoint: &str, number| Subscription {
        account: Some(Account { number, of: 2 }),
        ..Subscription::all(endpoint)
    };
    let mut ledger = Ledger::new(vec![of("even", 0), of("odd", 1)]);
    // Two messages: one for each account.
    accepted(0..8).into_iter().for_each(|attempt| ledger.attempt("main", attempt));
    for number in 0..8 {
        ledger.receipt(&Receipt { endpoint: "even".to_owned(), ..receipt(number) });
    }
    let report = ledger.close();
    assert_eq!(report.verdict(0).unwrap_err().lines().next(), Some("4 lost, 4 misrouted"));
    assert_eq!((report.endpoints["even"].expected, report.endpoints["odd"].lost), (4, 4));
}

#[test]
fn what_deliveries_took_is_told_apart_by_the_log_of_the_publisher() {
    let mut ledger = Ledger::new(vec![Subscription::all("acme")]);
    ledger.attempt("warm", Attempt { took_us: 500, ..attempt(0, Outcome::Ok) });
    ledger.attempt("main", Attempt { took_us: 40, ..attempt(1, Outcome::Ok) });
    ledger.receipt(&receipt(0));
    ledger.receipt(&receipt(1));
    ledger.receipt(&Receipt { at_us: 900, ..receipt(1) });
    let times = ledger.close().times;
    let figures = |log: &str| (times[log].since_due.max_us, times[log].since_accepted.max_us);
    assert_eq!(figures("warm"), (100, 0));
    assert_eq!(figures("main"), (100, 60));
}

#[test]
fn order_counts_within_a_message_and_at_the_first_arrival_only() {
    let attempts = accepted(0..8);
    let numbers = [4, 0, 1, 5, 2, 1, 3, 6, 7];
    let receipts: Vec<_> = numbers.into_iter().map(receipt).collect();
    assert_eq!(compare(&attempts, &receipts).verdict(1), Ok(()));

    let numbers = [0, 2, 1, 3, 4, 5, 6, 7];
    let receipts: Vec<_> = numbers.into_iter().map(receipt).collect();
    assert_eq!(broken(&attempts, &receipts), "1 out of order");
}

#[test]
fn a_wrong_count_of_deliveries_is_noticed() {
    let attempt = Attempt { deliveries: 7, ..attempt(0, Outcome::Ok) };
    assert_eq!(broken(&[attempt], &[receipt(0)]), "1 with a wrong count of deliveries");
}

#[test]
fn lines_of_the_logs_read_back_as_they_were_written() {
    let dir = tempfile::tempdir().expect("a folder");
    let (sent, got) = (attempt(3, Outcome::Unknown), Receipt { number: None, ..receipt(3) });
    let mut log = crate::log::Log::published(dir.path(), "a").expect("a log");
    log.attempt(&sent).and_then(|()| log.flush()).expect("written");
    let mut log = crate::log::Log::received(dir.path(), "a").expect("a log");
    log.receipt(&got).and_then(|()| log.flush()).expect("written");
    let mut read = Vec::new();
    crate::log::attempts(dir.path(), |log, attempt| read.push((log.to_owned(), attempt))).expect("readable");
    assert_eq!(read, [("a".to_owned(), sent)]);
    let mut read = Vec::new();
    crate::log::receipts(dir.path(), |receipt| read.push(receipt)).expect("readable");
    assert_eq!(read, [got]);
}

use super::*;
use proptest::prelude::*;

#[expect(clippy::disallowed_methods, reason = "any instant will do")]
fn start() -> Instant {
    Instant::now()
}

fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn opened(now: Instant) -> Breaker {
    let mut breaker = Breaker::new(BreakerSettings::default());
    for _ in 0..5 {
        breaker.record(false, now);
    }
    assert!(!breaker.is_closed());
    breaker
}

#[test]
fn five_failures_in_a_row_open_it_and_a_success_in_between_does_not() {
    let now = start();
    let mut breaker = Breaker::new(BreakerSettings::default());
    for success in [false, false, false, false, true, false, false, false, false] {
        assert_eq!(breaker.record(success, now), None);
    }
    assert_eq!(breaker.record(false, now), Some(Transition::Opened(now + secs(30))));
}

#[test]
fn half_of_twenty_attempts_within_a_minute_open_it() {
    let now = start();
    for first in [0, 1] {
        let mut breaker = Breaker::new(BreakerSettings::default());
        let success = |attempt: u64| attempt % 2 == first;
        let opened = (1..=20).find(|at| breaker.record(success(*at), now + secs(*at)).is_some());
        assert_eq!(opened, Some(20), "whichever came last");
    }
}

#[test]
fn attempts_older_than_the_window_do_not_count() {
    let now = start();
    let mut breaker = Breaker::new(BreakerSettings::default());
    for attempt in 0..100u64 {
        let transition = breaker.record(attempt % 2 == 1, now + secs(attempt * 7));
        assert_eq!(transition, None, "nine attempts a minute are too few to judge");
    }
}

#[test]
fn an_open_one_waits_then_probes_one_at_a_time_and_three_successes_close_it() {
    let now = start();
    let mut breaker = opened(now);
    assert_eq!(breaker.admit(now + secs(29)).0, Admission::Until(now + secs(30)));
    let later = now + secs(30);
    assert_eq!(breaker.admit(later), (Admission::Probe, Some(Transition::HalfOpened)));
    assert_eq!(breaker.admit(later).0, Admission::Probing);
    assert_eq!(breaker.probed(Probe::Succeeded, later), None);
    assert_eq!(breaker.admit(later).0, Admission::Probe);
    assert_eq!(breaker.probed(Probe::Succeeded, later), None);
    assert_eq!(breaker.admit(later).0, Admission::Probe);
    assert_eq!(breaker.probed(Probe::Succeeded, later), Some(Transition::Closed));
    for _ in 0..20 {
        breaker.record(true, later);
    }
    assert_eq!(breaker.slots(16), 16);
}

#[test]
fn every_failed_probe_doubles_the_wait_up_to_ten_minutes() {
    let mut now = start();
    let mut breaker = opened(now);
    let mut waits = Vec::new();
    for _ in 0..6 {
        let Admission::Until(until) = breaker.admit(now).0 else { panic!("it is open") };
        waits.push(until.duration_since(now).as_secs());
        now = until;
        assert_eq!(breaker.admit(now).0, Admission::Probe);
        breaker.probed(Probe::Failed, now);
    }
    assert_eq!(waits, [30, 60, 120, 240, 480, 600]);
}

#[test]
fn an_attempt_from_before_it_opened_changes_nothing() {
    let now = start();
    let mut breaker = opened(now);
    assert_eq!(breaker.record(true, now), None);
    assert_eq!(breaker.record(false, now), None);
    assert_eq!(breaker.admit(now).0, Admission::Until(now + secs(30)));
}

#[test]
fn an_inconclusive_probe_is_made_again() {
    let now = start();
    let mut breaker = opened(now);
    let later = now + secs(30);
    assert_eq!(breaker.admit(later).0, Admission::Probe);
    assert_eq!(breaker.probed(Probe::Inconclusive, later), None);
    assert_eq!(breaker.admit(later).0, Admission::Probe);
}

proptest! {
    #[test]
    fn never_more_than_one_probe_and_never_shut_for_longer_than_the_longest_wait(
        steps in prop::collection::vec((0u8..4, 0u64..900), 1..200)
    ) {
        let mut now = start();
        let mut breaker = Breaker::new(BreakerSettings::default());
        let mut probing = false;
        for (step, pause) in steps {
            now += secs(pause);
            match step {
                0 | 1 => { breaker.record(step == 0, now); }
                2 => match breaker.admit(now).0 {
                    Admission::Probe => { prop_assert!(!probing); probing = true; }
                    Admission::Until(until) => prop_assert!(until.duration_since(now) <= secs(600)),
                    Admission::Go => prop_assert!(!probing),
                    Admission::Probing => prop_assert!(probing),
                },
                _ if probing => {
                    probing = false;
                    breaker.probed(if pause % 2 == 0 { Probe::Succeeded } else { Probe::Failed }, now);
                }
                _ => {}
            }
        }
    }
}

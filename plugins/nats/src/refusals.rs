//! Which subjects a server has refused, and when, counted in refusals of all of them.

use std::collections::BTreeMap;

/// Subjects that are remembered.
pub(crate) const SUBJECTS: usize = 256;

/// The number of the last refusal of each subject.
#[derive(Debug, Default)]
pub(crate) struct Refusals {
    last: BTreeMap<String, u64>,
    /// The highest number that is remembered no more.
    forgotten: u64,
}

impl Refusals {
    /// The server refused a subject. Numbers begin with 1 and rise.
    pub(crate) fn note(&mut self, subject: String, number: u64) {
        self.last.insert(subject, number);
        if self.last.len() <= SUBJECTS {
            return;
        }
        // Who began lately asks for what came lately: the oldest can be missed best.
        let oldest = self.last.iter().min_by_key(|(_, number)| **number);
        if let Some((subject, number)) = oldest.map(|(subject, number)| (subject.clone(), *number)) {
            self.last.remove(&subject);
            self.forgotten = number;
        }
    }

    /// Whether the last refusal of a subject came after the one of this number.
    pub(crate) fn has(&self, subject: &str, after: u64) -> bool {
        self.last.get(subject).is_some_and(|number| *number > after)
    }

    /// Whether there was one after that number of which nobody can say any more what it was of.
    pub(crate) fn has_forgotten(&self, after: u64) -> bool {
        self.forgotten > after
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_refusals_are_forgotten_first_and_that_is_known() {
        let mut refusals = Refusals::default();
        let many = SUBJECTS as u64;
        for number in 1..=many {
            refusals.note(format!("events.{number}"), number);
        }
        assert!(refusals.has("events.1", 0) && !refusals.has("events.1", 1));
        assert!(!refusals.has_forgotten(0));
        // Refused again, it is the newest.
        refusals.note("events.1".to_owned(), many + 1);
        refusals.note("events.new".to_owned(), many + 2);
        assert!(refusals.has("events.1", many) && refusals.has("events.new", many + 1));
        assert!(!refusals.has("events.2", 0) && refusals.has("events.3", 0));
        assert!(refusals.has_forgotten(1) && !refusals.has_forgotten(2));
    }
}

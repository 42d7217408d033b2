//! Things with a name, in as little memory as can be: there may be a hundred thousand endpoints.

use crate::table::EndpointSpec;
use std::sync::Arc;

/// What is known by a name.
pub trait Named {
    /// It.
    fn name(&self) -> &Arc<str>;
}

/// Things in the order of their names, one of each.
#[derive(Debug, Clone)]
pub struct ByName<T>(Vec<T>);

impl<T: Named> ByName<T> {
    /// The one of this name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&T> {
        self.0.get(self.0.binary_search_by(|one| (**one.name()).cmp(name)).ok()?)
    }

    /// Whether there is one of this name.
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        self.get(name).is_some()
    }

    /// All of them.
    pub fn iter(&self) -> std::slice::Iter<'_, T> {
        self.0.iter()
    }

    /// How many there are.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// All of them, to change what is not their name.
    pub(super) fn iter_mut(&mut self) -> std::slice::IterMut<'_, T> {
        self.0.iter_mut()
    }

    /// Lets go of all.
    pub(super) fn clear(&mut self) {
        self.0 = Vec::new();
    }
}

impl<T> Default for ByName<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

/// Of those with one name the last counts.
impl<T: Named> FromIterator<T> for ByName<T> {
    fn from_iter<I: IntoIterator<Item = T>>(all: I) -> Self {
        let mut all: Vec<T> = all.into_iter().collect();
        all.sort_by(|a, b| a.name().cmp(b.name()));
        all.dedup_by(|later, kept| {
            let same = later.name() == kept.name();
            if same {
                std::mem::swap(later, kept);
            }
            same
        });
        all.shrink_to_fit();
        Self(all)
    }
}

impl<T> IntoIterator for ByName<T> {
    type Item = T;
    type IntoIter = std::vec::IntoIter<T>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

impl<'a, T> IntoIterator for &'a ByName<T> {
    type Item = &'a T;
    type IntoIter = std::slice::Iter<'a, T>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.iter()
    }
}

impl Named for Arc<EndpointSpec> {
    fn name(&self) -> &Arc<str> {
        &self.identity.name
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct One(Arc<str>, u32);

    impl Named for One {
        fn name(&self) -> &Arc<str> {
            &self.0
        }
    }

    #[test]
    fn each_name_is_there_once_with_what_came_last() {
        let named = [("b", 1), ("a", 2), ("b", 3), ("a-b", 4), ("b", 5)];
        let all: ByName<One> = named.iter().map(|(name, number)| One(Arc::from(*name), *number)).collect();
        let order: Vec<(&str, u32)> = all.iter().map(|One(name, number)| (&**name, *number)).collect();
        assert_eq!(order, [("a", 2), ("a-b", 4), ("b", 5)]);
        assert_eq!(all.get("a-b").map(|one| one.1), Some(4));
        assert!(!all.has("c") && !all.has(""));
    }
}

//! Lists without repeats, in the order in which things came.

use std::collections::BTreeSet;

/// So many are compared one by one: nearly all lists are shorter, and a set costs more.
const FEW: usize = 16;

/// A list that takes each thing once, however long it gets.
#[derive(Debug)]
pub(super) struct Distinct<T> {
    list: Vec<T>,
    /// All of them, once there are more than a few.
    seen: BTreeSet<T>,
}

impl<T: Ord + Clone> Distinct<T> {
    pub(super) fn new() -> Distinct<T> {
        Distinct { list: Vec::new(), seen: BTreeSet::new() }
    }

    /// Takes a thing, unless it is held.
    pub(super) fn push(&mut self, thing: T) {
        if self.list.len() < FEW {
            if !self.list.contains(&thing) {
                self.list.push(thing);
            }
            return;
        }
        if self.seen.is_empty() {
            self.seen.extend(self.list.iter().cloned());
        }
        if self.seen.insert(thing.clone()) {
            self.list.push(thing);
        }
    }

    pub(super) fn into_list(self) -> Vec<T> {
        self.list
    }
}

impl<T: Ord + Clone> FromIterator<T> for Distinct<T> {
    fn from_iter<I: IntoIterator<Item = T>>(things: I) -> Distinct<T> {
        let mut distinct = Distinct::new();
        things.into_iter().for_each(|thing| distinct.push(thing));
        distinct
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_of_each_stays_in_its_place_in_short_lists_and_long() {
        for length in [0, 1, FEW - 1, FEW, FEW + 1, 1000] {
            let once: Vec<usize> = (0..length).rev().collect();
            let twice = once.iter().chain(&once).chain(once.iter().rev()).copied();
            assert_eq!(twice.collect::<Distinct<_>>().into_list(), once, "{length}");
        }
    }
}

//! Which of several shared values are equal: exporters send one resource again with every batch.

use std::{collections::HashMap, sync::Arc};

/// Values without their repetitions, in the order in which they were met.
#[derive(Debug)]
pub(super) struct Distinct<'a, T> {
    values: Vec<&'a T>,
    /// Where a value stands that was met at this address before: most spans share theirs with the last one.
    known: HashMap<*const T, usize>,
}

impl<'a, T: PartialEq> Distinct<'a, T> {
    /// None yet.
    pub(super) fn new() -> Self {
        Self { values: Vec::new(), known: HashMap::new() }
    }

    /// The place of `value`, which it takes if it is new.
    pub(super) fn place(&mut self, value: &'a Arc<T>) -> usize {
        *self.known.entry(Arc::as_ptr(value)).or_insert_with(|| {
            self.values.iter().position(|known| **known == **value).unwrap_or_else(|| {
                self.values.push(value);
                self.values.len() - 1
            })
        })
    }

    /// All of them, by their places.
    pub(super) fn values(&self) -> &[&'a T] {
        &self.values
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_values_share_a_place() {
        let values = ["a", "b", "a"].map(|text| Arc::new(text.to_owned()));
        let mut distinct = Distinct::new();
        assert_eq!(values.each_ref().map(|value| distinct.place(value)), [0, 1, 0]);
        assert_eq!(distinct.values(), ["a", "b"]);
    }
}

//! Texts by their lengths, so that those which begin or end another text are found by one look for each length.

use std::collections::{HashMap, hash_map::Entry};

use foldhash::fast::FixedState;

/// A map for texts of the configuration. Who asks it cannot put anything into it, so that its hashes need no secret.
pub(crate) type TextMap<T> = HashMap<Box<str>, T, FixedState>;

/// A map whose keys are looked for at the beginning or at the end of texts.
#[derive(Debug)]
pub(crate) struct ByLength<T> {
    /// Longest first.
    lengths: Vec<(usize, TextMap<T>)>,
}

impl<T> Default for ByLength<T> {
    fn default() -> Self {
        Self { lengths: Vec::new() }
    }
}

impl<T> ByLength<T> {
    /// The place of a key.
    pub(crate) fn entry(&mut self, key: &str) -> Option<Entry<'_, Box<str>, T>> {
        let at = match self.lengths.binary_search_by(|(length, _)| key.len().cmp(length)) {
            Ok(at) => at,
            Err(at) => {
                self.lengths.insert(at, (key.len(), TextMap::default()));
                at
            }
        };
        self.lengths.get_mut(at).map(|(_, keys)| keys.entry(key.into()))
    }

    /// All keys, in no order.
    pub(crate) fn keys(&self) -> impl Iterator<Item = &str> {
        self.lengths.iter().flat_map(|(_, keys)| keys.keys().map(|key| &**key))
    }

    /// Whether there is none.
    pub(crate) fn is_empty(&self) -> bool {
        self.lengths.is_empty()
    }

    /// The values of all keys that `text` begins with, longest first, each with its key's length.
    pub(crate) fn beginning<'a>(&'a self, text: &'a str) -> impl Iterator<Item = (usize, &'a T)> {
        self.lengths.iter().filter_map(|(length, keys)| Some((*length, keys.get(text.get(..*length)?)?)))
    }

    /// The values of all keys that `text` ends with, longest first, each with its key's length.
    pub(crate) fn ending<'a>(&'a self, text: &'a str) -> impl Iterator<Item = (usize, &'a T)> {
        self.lengths.iter().filter_map(|(length, keys)| {
            Some((*length, keys.get(text.get(text.len().checked_sub(*length)?..)?)?))
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_begins_or_ends_a_text_is_found_longest_first(
            keys in proptest::collection::hash_set("[abé]{0,3}", 0..12), text in "[abcé]{0,5}",
        ) {
            let mut by_length = ByLength::default();
            for key in &keys {
                by_length.entry(key).expect("a place").or_insert_with(|| key.clone());
            }
            let walk = |matches: &dyn Fn(&String) -> bool| {
                let mut found: Vec<&String> = keys.iter().filter(|key| matches(key)).collect();
                found.sort_by_key(|key| std::cmp::Reverse(key.len()));
                found
            };
            prop_assert_eq!(
                by_length.beginning(&text).map(|(_, value)| value).collect::<Vec<_>>(),
                walk(&|key| text.starts_with(key.as_str()))
            );
            prop_assert_eq!(
                by_length.ending(&text).map(|(_, value)| value).collect::<Vec<_>>(),
                walk(&|key| text.ends_with(key.as_str()))
            );
        }
    }
}

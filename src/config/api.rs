//! The descriptors of the Envoy API, compiled by `build.rs`.

use std::{
    cell::Cell,
    sync::{Mutex, MutexGuard, PoisonError},
};

use prost_reflect::{DescriptorPool, ExtensionDescriptor, MessageDescriptor, ReflectMessage};

const BOOTSTRAP: &str = "envoy.config.bootstrap.v3.Bootstrap";

static ALL: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/envoy_api.bin"));
static USUAL: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/envoy_api_usual.bin"));

/// Decoding takes most of the time of a start, so it happens once; [`release`] gives the memory back when nothing is to
/// be read.
static POOL: Mutex<Decoded> = Mutex::new(Decoded { usual: None, all: None });

thread_local! {
    /// This thread has asked for a message that is not among the usual ones.
    static MISSED: Cell<bool> = const { Cell::new(false) };
}

/// What is decoded of the API.
struct Decoded {
    /// Those messages that most configurations are made of.
    usual: Option<DescriptorPool>,
    all: Option<DescriptorPool>,
}

fn decoded() -> MutexGuard<'static, Decoded> {
    POOL.lock().unwrap_or_else(PoisonError::into_inner)
}

/// That the bytes can be decoded is tested below.
fn decode(bytes: &'static [u8]) -> DescriptorPool {
    DescriptorPool::decode(bytes).unwrap_or_else(|_| DescriptorPool::global())
}

/// The messages by which a configuration is read: the usual ones, or, after a miss, all. Clones share them.
fn pool() -> DescriptorPool {
    let mut decoded = decoded();
    match &decoded.all {
        Some(all) => all.clone(),
        None => decoded.usual.get_or_insert_with(|| decode(USUAL)).clone(),
    }
}

/// All messages of the API.
pub(super) fn all() -> DescriptorPool {
    decoded().all.get_or_insert_with(|| decode(ALL)).clone()
}

/// Read by the usual messages, and by all of them if that was not enough: a message that is not among the usual ones
/// counts as one that does not exist.
pub(super) fn read_by_need<T>(read: impl Fn() -> T) -> T {
    MISSED.set(false);
    let outcome = read();
    if !MISSED.get() {
        return outcome;
    }
    all();
    read()
}

/// Forget the messages of the API until they are asked for again. They take more memory than all that serves.
pub(super) fn release() {
    *decoded() = Decoded { usual: None, all: None };
}

/// An option of the API's fields.
pub(super) fn extension(name: &str) -> Option<ExtensionDescriptor> {
    pool().get_extension_by_name(name)
}

/// The message that a configuration file is.
pub(super) fn bootstrap() -> MessageDescriptor {
    // Without it, which is tested never to happen, a document is a message without fields, and refused.
    pool().get_message_by_name(BOOTSTRAP).unwrap_or_else(|| ().descriptor())
}

/// The message that a type URL names, for example `type.googleapis.com/envoy.config.trace.v3.ZipkinConfig`.
pub(super) fn message_of(type_url: &str) -> Option<MessageDescriptor> {
    let found = pool().get_message_by_name(type_name(type_url));
    if found.is_none() {
        MISSED.set(true);
    }
    found
}

/// The message's name in a type URL: what follows the last slash.
pub(super) fn type_name(type_url: &str) -> &str {
    type_url.rsplit('/').next().unwrap_or(type_url)
}

/// The one of `candidates` that was probably meant by `word`.
pub(super) fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let normal = |text: &str| text.replace(['_', '-'], "").to_lowercase();
    let word = normal(word);
    let score = |candidate: &'a str| (strsim::jaro_winkler(&word, &normal(candidate)), candidate);
    let (score, best) = candidates.into_iter().map(score).max_by(|a, b| a.0.total_cmp(&b.0))?;
    (score > 0.88).then_some(best)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_descriptors_hold_the_bootstrap() {
        for bytes in [USUAL, ALL] {
            let pool = DescriptorPool::decode(bytes).expect("descriptors");
            assert!(pool.get_message_by_name(BOOTSTRAP).is_some());
        }
    }

    #[test]
    fn a_message_that_is_not_among_the_usual_ones_is_found_when_it_is_needed() {
        let unusual = "type.googleapis.com/envoy.extensions.filters.http.fault.v3.HTTPFault";
        assert!(decode(USUAL).get_message_by_name(type_name(unusual)).is_none());
        assert!(read_by_need(|| message_of(unusual)).is_some());
        assert!(read_by_need(|| message_of("no.such.message")).is_none());
    }

    #[test]
    fn the_nearest_word_is_found_and_a_far_one_is_not() {
        let fields = ["connect_timeout", "name", "type", "lb_policy"];
        assert_eq!(nearest("conect_timeout", fields), Some("connect_timeout"));
        assert_eq!(nearest("connectTimeout", fields), Some("connect_timeout"));
        assert_eq!(nearest("zone", fields), None);
    }
}

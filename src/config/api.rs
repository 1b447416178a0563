//! The descriptors of the Envoy API, compiled by `build.rs`.

use std::sync::{Mutex, PoisonError};

use prost_reflect::{DescriptorPool, MessageDescriptor, ReflectMessage};

const BOOTSTRAP: &str = "envoy.config.bootstrap.v3.Bootstrap";

static DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/envoy_api.bin"));

/// Decoding takes about 10 ms, so it happens once; [`release`] gives the memory back when nothing is to be read.
static POOL: Mutex<Option<DescriptorPool>> = Mutex::new(None);

/// All messages of the API. Clones share them.
pub(super) fn pool() -> DescriptorPool {
    let mut pool = POOL.lock().unwrap_or_else(PoisonError::into_inner);
    // That the bytes can be decoded is tested below.
    let decode = || DescriptorPool::decode(DESCRIPTORS).unwrap_or_else(|_| DescriptorPool::global());
    pool.get_or_insert_with(decode).clone()
}

/// Forget the messages of the API until they are asked for again. They take more memory than all that serves.
pub(super) fn release() {
    *POOL.lock().unwrap_or_else(PoisonError::into_inner) = None;
}

/// The message that a configuration file is.
pub(super) fn bootstrap() -> MessageDescriptor {
    // Without it, which is tested never to happen, a document is a message without fields, and refused.
    pool().get_message_by_name(BOOTSTRAP).unwrap_or_else(|| ().descriptor())
}

/// The message that a type URL names, for example `type.googleapis.com/envoy.config.trace.v3.ZipkinConfig`.
pub(super) fn message_of(type_url: &str) -> Option<MessageDescriptor> {
    pool().get_message_by_name(type_name(type_url))
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
        assert!(bootstrap().full_name() == BOOTSTRAP);
    }

    #[test]
    fn the_nearest_word_is_found_and_a_far_one_is_not() {
        let fields = ["connect_timeout", "name", "type", "lb_policy"];
        assert_eq!(nearest("conect_timeout", fields), Some("connect_timeout"));
        assert_eq!(nearest("connectTimeout", fields), Some("connect_timeout"));
        assert_eq!(nearest("zone", fields), None);
    }
}

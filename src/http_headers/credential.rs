//! Headers whose values are not for everybody who may look.

/// What stands where a secret was. The words are Envoy's.
pub(crate) const REDACTED: &str = "[redacted]";

/// Words in the names of headers that hold credentials.
const WORDS: &[&str] =
    &["authorization", "cookie", "token", "secret", "password", "api-key", "apikey", "api_key"];

/// Whether the name of a header says that it holds a credential.
pub(crate) fn is_named_so(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    WORDS.iter().any(|word| name.contains(word))
}

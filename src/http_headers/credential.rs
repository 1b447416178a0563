//! Headers and parameters whose values are not for everybody who may look.

use std::borrow::Cow;

/// What stands where a secret was. The words are Envoy's.
pub(crate) const REDACTED: &str = "[redacted]";

/// Words in the names of headers and parameters that hold credentials. (The last is what Honeycomb calls its key.)
const WORDS: &[&str] =
    &["auth", "cookie", "token", "secret", "password", "passwd", "credential", "session", "honeycomb-team"];

/// What such a name may end with.
const ENDS: &[&str] = &["key", "signature", "sig"];

/// Whether the name of a header or parameter says that it holds a credential. One too many is hidden rather than one too
/// few; `:authority` holds none.
pub(crate) fn is_named_so(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    let says = WORDS.iter().any(|word| name.contains(word)) || ENDS.iter().any(|end| name.ends_with(end));
    says && name != ":authority"
}

/// An address without the values of parameters that are named so.
pub(crate) fn without_credentials(address: &str) -> Cow<'_, str> {
    let Some((path, query)) = address.split_once('?') else { return address.into() };
    let is_secret = |pair: &str| pair.split_once('=').is_some_and(|(name, _)| is_named_so(name));
    if !query.split('&').any(is_secret) {
        return address.into();
    }
    let shown = query.split('&').map(|pair| match pair.split_once('=') {
        Some((name, _)) if is_secret(pair) => format!("{name}={REDACTED}"),
        _ => pair.to_owned(),
    });
    format!("{path}?{}", shown.collect::<Vec<_>>().join("&")).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_say_whether_they_hold_a_credential() {
        for name in
            ["Authorization", "X-Api-Key", "signoz-ingestion-key", "x-honeycomb-team", "x-auth", "session_id"]
        {
            assert!(is_named_so(name), "{name}");
        }
        for name in [":authority", ":path", "x-tenant", "x-request-id", "keyboard"] {
            assert!(!is_named_so(name), "{name}");
        }
    }

    #[test]
    fn an_address_is_shown_without_values_of_such_parameters() {
        assert_eq!(without_credentials("/a?b=1&token=abc&c"), "/a?b=1&token=[redacted]&c");
        assert_eq!(without_credentials("/token=abc?b"), "/token=abc?b");
    }
}

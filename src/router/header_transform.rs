//! Changes of headers, paths and authorities that routes ask for.

use http::{
    HeaderMap, HeaderValue,
    uri::{InvalidUri, PathAndQuery},
};
use regex::Regex;

use crate::{
    snapshot::route::{
        AddedValue, AppendAction, HeaderAddition, HeaderMutations, PathMatch, PathRewrite, RouteConfiguration,
    },
    stream_info::formatter::FormatContext,
};

/// The levels at which a request's route asks for mutations, most specific first.
#[derive(Debug, Clone, Copy)]
pub(crate) struct MutationLevels<'a> {
    /// The weighted cluster that was chosen, if one was.
    pub(crate) weighted_cluster: Option<&'a HeaderMutations>,
    /// The route.
    pub(crate) route: &'a HeaderMutations,
    /// Its virtual host.
    pub(crate) virtual_host: &'a HeaderMutations,
    /// All routes, and in which order levels apply.
    pub(crate) config: &'a RouteConfiguration,
}

impl<'a> MutationLevels<'a> {
    /// In the order in which they apply: the last one has the last word. That is the route configuration, or with
    /// `most_specific_header_mutations_wins` the route; the weighted cluster, as in Envoy, comes first either way.
    pub(crate) fn in_order(&self) -> impl Iterator<Item = &'a HeaderMutations> + use<'a> {
        let mut levels = [self.route, self.virtual_host, &self.config.headers];
        if self.config.most_specific_wins {
            levels.reverse();
        }
        self.weighted_cluster.into_iter().chain(levels)
    }

    /// Whether any level changes requests.
    pub(crate) fn change_requests(&self) -> bool {
        self.in_order().any(|level| !level.request_add.is_empty() || !level.request_remove.is_empty())
    }

    /// Whether any level changes responses.
    pub(crate) fn change_responses(&self) -> bool {
        self.in_order().any(|level| !level.response_add.is_empty() || !level.response_remove.is_empty())
    }

    /// Change a request's headers. Formats read them as they were before any change.
    pub(crate) fn apply_to_request(&self, headers: &mut HeaderMap, context: &FormatContext<'_>) {
        for level in self.in_order() {
            for name in &level.request_remove {
                headers.remove(name);
            }
            add(headers, &level.request_add, context);
        }
    }

    /// Change a response's headers.
    pub(crate) fn apply_to_response(&self, headers: &mut HeaderMap, context: &FormatContext<'_>) {
        for level in self.in_order() {
            for name in &level.response_remove {
                headers.remove(name);
            }
            add(headers, &level.response_add, context);
        }
    }
}

/// Add each header as its append action says. As in Envoy all actions see the headers as they were, and values that
/// overwrite come before those that are added: a list with both for one name keeps all that it adds.
pub(crate) fn add(headers: &mut HeaderMap, additions: &[HeaderAddition], context: &FormatContext<'_>) {
    if let [only] = additions {
        if let Some(value) = due(headers, only, context) {
            apply(headers, only, value);
        }
        return;
    }
    let mut changes = Vec::with_capacity(additions.len());
    changes.extend(
        additions
            .iter()
            .filter_map(|addition| due(headers, addition, context).map(|value| (addition, value))),
    );
    // Stable: within each kind the order stays.
    changes.sort_by_key(|(addition, _)| !addition.action.overwrites());
    for (addition, value) in changes {
        apply(headers, addition, value);
    }
}

/// The value to add; `None` if the headers, or the lack of a value, say that there is nothing to do.
fn due(headers: &HeaderMap, addition: &HeaderAddition, context: &FormatContext<'_>) -> Option<HeaderValue> {
    let wanted = match addition.action {
        AppendAction::AppendOrAdd | AppendAction::OverwriteOrAdd => true,
        AppendAction::AddIfAbsent => !headers.contains_key(&addition.name),
        AppendAction::OverwriteIfExists => headers.contains_key(&addition.name),
    };
    if !wanted {
        return None;
    }
    let value = match &addition.value {
        AddedValue::Literal(value) => value.clone(),
        AddedValue::Format(format) => {
            let mut text = String::new();
            format.write(context, "", &mut text);
            // A value that no header can hold is left out rather than sent broken.
            HeaderValue::from_str(&text).ok()?
        }
    };
    (!value.is_empty() || addition.keep_empty).then_some(value)
}

fn apply(headers: &mut HeaderMap, addition: &HeaderAddition, value: HeaderValue) {
    if addition.action.overwrites() {
        headers.insert(&addition.name, value);
    } else {
        headers.append(&addition.name, value);
    }
}

/// The path (with query) that a rewrite makes of `path_and_query`.
pub(crate) fn rewrite_path(rewrite: &PathRewrite, matched: &PathMatch, path_and_query: &str) -> String {
    let (path, rest) = split_path(path_and_query);
    match rewrite {
        PathRewrite::Prefix(replacement) => {
            let length = match matched {
                PathMatch::Prefix(prefix) | PathMatch::SeparatedPrefix(prefix) => prefix.len(),
                PathMatch::Exact(_) | PathMatch::Regex(_) => path.len(),
            };
            format!("{replacement}{}{rest}", path.get(length..).unwrap_or_default())
        }
        PathRewrite::Regex(regex, substitution) => format!("{}{rest}", substitute(regex, substitution, path)),
    }
}

/// A path that a rewrite has made, as a request target: what no target can hold is escaped, and it begins with a slash.
pub(crate) fn valid_path(path: &str) -> Result<PathAndQuery, InvalidUri> {
    if path.starts_with('/') && !path.contains('#') {
        let unchanged = PathAndQuery::try_from(path);
        if unchanged.is_ok() {
            return unchanged;
        }
    }
    let mut escaped = String::with_capacity(path.len() + 16);
    if !path.starts_with('/') {
        escaped.push('/');
    }
    for letter in path.chars() {
        match letter {
            '"' | '#' | '<' | '>' | '^' | '`' | '{' | '|' | '}' | '\0'..=' ' | '\x7f' => {
                escaped.push_str(&format!("%{:02X}", u32::from(letter)));
            }
            letter => escaped.push(letter),
        }
    }
    PathAndQuery::from_maybe_shared(escaped)
}

/// The path alone, and the query with its `?`.
pub(crate) fn split_path(path_and_query: &str) -> (&str, &str) {
    let at = path_and_query.find(['?', '#']).unwrap_or(path_and_query.len());
    path_and_query.split_at_checked(at).unwrap_or((path_and_query, ""))
}

/// `text` with all that `regex` finds replaced; `\1` in `substitution` stands for a group, as in RE2.
pub(crate) fn substitute(regex: &Regex, substitution: &str, text: &str) -> String {
    regex
        .replace_all(text, |captures: &regex::Captures<'_>| {
            let mut out = String::new();
            let mut letters = substitution.chars();
            while let Some(letter) = letters.next() {
                if letter != '\\' {
                    out.push(letter);
                    continue;
                }
                match letters.next() {
                    Some(digit) if digit.is_ascii_digit() => {
                        let group = digit.to_digit(10).and_then(|group| captures.get(group as usize));
                        out.push_str(group.map_or("", |group| group.as_str()));
                    }
                    Some(other) => out.push(other),
                    None => {}
                }
            }
            out
        })
        .into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_rewrite_replaces_what_the_route_matched_and_keeps_the_query() {
        let rewrite = PathRewrite::Prefix("/new".into());
        for (matched, path, result) in [
            (PathMatch::Prefix("/old".into()), "/old/x?q=/old", "/new/x?q=/old"),
            (PathMatch::Exact("/old".into()), "/old?q", "/new?q"),
            (PathMatch::SeparatedPrefix("/old".into()), "/old", "/new"),
        ] {
            assert_eq!(rewrite_path(&rewrite, &matched, path), result);
        }
    }

    #[test]
    fn a_rewritten_path_is_escaped_where_it_has_to_be() {
        for (path, valid) in [
            ("/a%2f?b#c", "/a%2f?b%23c"),
            ("x", "/x"),
            ("", "/"),
            ("/<\"{|}^`> \u{7f}", "/%3C%22%7B%7C%7D%5E%60%3E%20%7F"),
        ] {
            assert_eq!(valid_path(path).map(|path| path.to_string()).ok().as_deref(), Some(valid));
        }
    }

    #[test]
    fn a_regex_rewrite_puts_groups_where_backslashes_say() {
        let regex = Regex::new("^/service/([^/]+)(/.*)$").expect("compiles");
        let rewrite = PathRewrite::Regex(regex, r"\2/instance/\1".into());
        let path = rewrite_path(&rewrite, &PathMatch::Prefix("/".into()), "/service/foo/v1/api?a=b");
        assert_eq!(path, "/v1/api/instance/foo?a=b");
    }
}

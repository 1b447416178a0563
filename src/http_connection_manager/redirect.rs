//! Answers of `redirect` routes. `config.route.v3.RedirectAction`.

use http::StatusCode;

use super::local_reply::LocalReply;
use crate::{
    router::{
        header_transform::{rewrite_path, split_path},
        route_matcher::without_port,
    },
    snapshot::{
        matcher::RequestView,
        route::{PathMatch, Redirect, RedirectPath},
    },
};

/// The reply of a redirect route that matched by `matched`.
pub(crate) fn reply(redirect: &Redirect, matched: &PathMatch, request: &RequestView<'_>) -> LocalReply {
    LocalReply::redirect(redirect.status, &location(redirect, matched, request), "direct_response")
}

/// The same place over https, for virtual hosts that require TLS.
pub(crate) fn to_https(request: &RequestView<'_>) -> LocalReply {
    let location = format!("https://{}{}", request.authority, request.path_and_query);
    LocalReply::redirect(StatusCode::MOVED_PERMANENTLY, &location, "direct_response")
}

fn location(redirect: &Redirect, matched: &PathMatch, request: &RequestView<'_>) -> String {
    let scheme = redirect.scheme.as_deref().unwrap_or(request.scheme);
    let mut host = redirect.host.as_deref().unwrap_or(request.authority).to_owned();
    if let Some(port) = redirect.port {
        host = format!("{}:{port}", without_port(&host));
    } else if redirect.host.is_none() && scheme != request.scheme {
        // The old scheme's default port means nothing under the new one.
        let default = if request.scheme == "https" { ":443" } else { ":80" };
        if let Some(stripped) = host.strip_suffix(default) {
            host = stripped.to_owned();
        }
    }
    let mut path = match &redirect.path {
        None => request.path_and_query.to_owned(),
        Some(RedirectPath::Rewrite(rewrite)) => rewrite_path(rewrite, matched, request.path_and_query),
        // A path with a query of its own replaces the request's.
        Some(RedirectPath::Whole(path)) if path.contains('?') => path.to_string(),
        Some(RedirectPath::Whole(path)) => format!("{path}{}", split_path(request.path_and_query).1),
    };
    if !path.starts_with('/') {
        path.insert(0, '/');
    }
    if redirect.strip_query {
        path.truncate(path.find('?').unwrap_or(path.len()));
    }
    format!("{scheme}://{host}{path}")
}

#[cfg(test)]
mod tests {
    use http::HeaderMap;

    use super::*;
    use crate::snapshot::route::PathRewrite;

    fn to(redirect: &Redirect, authority: &str) -> String {
        let headers = HeaderMap::new();
        let request = RequestView {
            path_and_query: "/r/x/tail?q=1",
            method: "GET",
            authority,
            scheme: "http",
            headers: &headers,
        };
        location(redirect, &PathMatch::Prefix("/r/x".into()), &request)
    }

    const PLAIN: Redirect = Redirect {
        scheme: None,
        host: None,
        port: None,
        path: None,
        status: StatusCode::MOVED_PERMANENTLY,
        strip_query: false,
    };

    #[test]
    fn locations_are_those_of_envoy() {
        let https = || Redirect { scheme: Some("https".into()), ..PLAIN };
        assert_eq!(to(&https(), "h"), "https://h/r/x/tail?q=1");
        assert_eq!(to(&https(), "h:80"), "https://h/r/x/tail?q=1");
        assert_eq!(to(&https(), "h:8080"), "https://h:8080/r/x/tail?q=1");
        assert_eq!(to(&https(), "[::1]:80"), "https://[::1]/r/x/tail?q=1");
        assert_eq!(to(&PLAIN, "h:80"), "http://h:80/r/x/tail?q=1");
        assert_eq!(
            to(&Redirect { host: Some("o.com".into()), ..PLAIN }, "h:99"),
            "http://o.com/r/x/tail?q=1"
        );
        assert_eq!(to(&Redirect { port: Some(8443), ..https() }, "h:80"), "https://h:8443/r/x/tail?q=1");
        let path = |path: &str| Redirect { path: Some(RedirectPath::Whole(path.into())), ..PLAIN };
        assert_eq!(to(&path("/new"), "h"), "http://h/new?q=1");
        assert_eq!(to(&path("/new?x=1"), "h"), "http://h/new?x=1");
        assert_eq!(to(&Redirect { strip_query: true, ..path("/new") }, "h"), "http://h/new");
        let prefix = RedirectPath::Rewrite(PathRewrite::Prefix("/new".into()));
        assert_eq!(to(&Redirect { path: Some(prefix), ..PLAIN }, "h"), "http://h/new/tail?q=1");
    }
}

//! The frame of the admin interface's own pages.

use axum::response::Response;
use http::{HeaderValue, StatusCode, header};

use super::answer;

/// `body` as a page, which loads nothing and runs nothing. `title` and `body` are HTML.
pub(super) fn answer(title: &str, body: &str) -> Response {
    // Only a style that was made with this very answer counts.
    let nonce = format!("{:032x}", fastrand::u128(..));
    let page = format!(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width\"><title>{title} - spanway</title>\
         <style nonce=\"{nonce}\">{STYLE}</style></head>\
         <body><h1>{title}</h1>{body}</body></html>\n"
    );
    let mut response = answer::typed(StatusCode::OK, "text/html; charset=UTF-8", page);
    let policy = format!(
        "default-src 'none'; style-src 'nonce-{nonce}'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    );
    // It is made of letters that headers take.
    if let Ok(policy) = HeaderValue::try_from(policy) {
        response.headers_mut().insert(header::CONTENT_SECURITY_POLICY, policy);
    }
    response
}

const STYLE: &str = ":root{color-scheme:light dark}body{font:15px/1.5 system-ui,sans-serif;margin:1.5rem auto;\
                     max-width:72rem;padding:0 1rem}table{border-collapse:collapse;width:100%}td,th{padding:.3rem .6rem;\
                     text-align:left;vertical-align:top;border-bottom:1px solid #8884}pre{overflow:auto}\
                     input,select,button{font:inherit;padding:.15rem .5rem}.num{text-align:right}form{margin:0}\
                     .asks{background:none;border:0;padding:0;color:LinkText;text-decoration:underline;cursor:pointer}\
                     .parameter{margin:.2rem 0 0 1rem}";

/// `text` as HTML shows it.
pub(super) fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c => out.push(c),
        }
    }
    out
}

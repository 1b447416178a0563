//! The frame of the admin interface's own pages.

/// `body` as a page. `title` and `body` are HTML.
pub(super) fn frame(title: &str, body: &str) -> String {
    format!(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width\"><title>{title} - spanway</title><style>{STYLE}</style></head>\
         <body><h1>{title}</h1>{body}</body></html>\n"
    )
}

const STYLE: &str = ":root{color-scheme:light dark}body{font:15px/1.5 system-ui,sans-serif;margin:1.5rem auto;\
                     max-width:72rem;padding:0 1rem}table{border-collapse:collapse;width:100%}td,th{padding:.3rem .6rem;\
                     text-align:left;vertical-align:top;border-bottom:1px solid #8884}pre{overflow:auto}\
                     input,select,button{font:inherit;padding:.15rem .5rem}.num{text-align:right}";

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

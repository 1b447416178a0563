//! Statistics as a page, for people.

use axum::response::Response;

use crate::admin::page;

/// The lines of `text` as a page, with a form that asks for others.
pub(super) fn write(text: &str, query: &str) -> Response {
    let asked: Vec<(String, String)> = form_urlencoded::parse(query.as_bytes()).into_owned().collect();
    let value =
        |name: &str| asked.iter().find(|(known, _)| known == name).map_or("", |(_, value)| value.as_str());
    let checked = if asked.iter().any(|(name, _)| name == "usedonly") { " checked" } else { "" };
    let option = |name: &str, known: &str| {
        let selected = if value(name).eq_ignore_ascii_case(known) { " selected" } else { "" };
        format!("<option{selected}>{known}</option>")
    };
    let types: String =
        ["All", "Counters", "Gauges", "Histograms"].iter().map(|known| option("type", known)).collect();
    let forms: String = ["summary", "cumulative", "disjoint", "detailed"]
        .iter()
        .map(|known| option("histogram_buckets", known))
        .collect();
    let body = format!(
        "<form action=\"stats\"><input type=\"hidden\" name=\"format\" value=\"html\">\
         <label>Filter <input name=\"filter\" value=\"{}\" placeholder=\"a regular expression\"></label> \
         <label>Type <select name=\"type\">{types}</select></label> \
         <label>Histograms <select name=\"histogram_buckets\">{forms}</select></label> \
         <label><input type=\"checkbox\" name=\"usedonly\"{checked}> used only</label> \
         <button>Show</button></form><pre>{}</pre>",
        page::escape(value("filter")),
        page::escape(text)
    );
    page::answer("Statistics", &body)
}

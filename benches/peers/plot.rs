//! Bars of CPU time per request, as SVG.

use std::fmt::Write;

use crate::{
    peer::GUIDED,
    report::{Report, Row},
};

/// The modes whose requests are alike enough for one scale.
const PLOTTED: [&str; 4] = ["h1", "tracing", "routes", "h2"];
/// Width of the space for names, and of the longest bar.
const NAMES: f64 = 190.0;
const LONGEST: f64 = 420.0;
/// Height of a bar with its gap, and of the line above a group.
const BAR: f64 = 18.0;
const HEADING: f64 = 26.0;

fn colour(peer: &str) -> &'static str {
    match peer {
        "nginx" => "#8a9a8a",
        "haproxy" => "#9a9ab4",
        "envoy" => "#c49a6c",
        GUIDED => "#5b95cf",
        _ => "#2f6fb0",
    }
}

/// A name as it may stand in XML.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

/// Whether there is anything to draw.
pub(crate) fn has_something(report: &Report) -> bool {
    report.rows.iter().any(|row| PLOTTED.contains(&row.mode))
}

/// A group of bars for every variant that was measured.
pub(crate) fn svg(report: &Report) -> String {
    let plotted: Vec<(&Row, f64)> = report
        .rows
        .iter()
        .filter(|row| PLOTTED.contains(&row.mode))
        .filter_map(|row| Some((row, *row.figures.get("cpu_us")?)))
        .collect();
    let most = plotted.iter().map(|(_, value)| *value).fold(1.0, f64::max);
    let mut body = String::new();
    let mut y = 30.0;
    let mut group = (String::new(), String::new());
    for (row, value) in plotted {
        let this = (row.mode.to_owned(), row.variant.clone());
        if this != group {
            y += HEADING;
            let _ = writeln!(
                body,
                "<text x=\"10\" y=\"{:.0}\" font-weight=\"bold\">{}, {}</text>",
                y - 6.0,
                escaped(&this.0),
                escaped(&this.1)
            );
            group = this;
        }
        let length = value / most * LONGEST;
        let middle = y + BAR * 0.7;
        let _ = writeln!(
            body,
            "<text x=\"{:.0}\" y=\"{middle:.1}\" text-anchor=\"end\">{}</text>\
             <rect x=\"{NAMES}\" y=\"{y:.1}\" width=\"{length:.1}\" height=\"{:.1}\" fill=\"{}\"/>\
             <text x=\"{:.1}\" y=\"{middle:.1}\">{value:.1}</text>",
            NAMES - 8.0,
            row.peer,
            BAR - 4.0,
            colour(row.peer),
            NAMES + length + 6.0,
        );
        y += BAR;
    }
    let (width, height) = (NAMES + LONGEST + 70.0, y + 14.0);
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width:.0} {height:.0}\" \
         width=\"{width:.0}\" height=\"{height:.0}\" font-family=\"sans-serif\" font-size=\"12\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n\
         <text x=\"10\" y=\"20\" font-size=\"14\">CPU microseconds of the proxy per request, one worker \
         (less is better)</text>\n{body}</svg>\n"
    )
}

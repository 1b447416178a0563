//! The collector's pages in a real browser. Each check is a script in Python beside this file, run against a collector
//! of its own; `SPANWAY_PAGES=skip` leaves all of them out.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a test that fails may do so where it stands, and says what it left out"
)]

mod browser;
mod collector;

/// Run `script` with a browser against a collector.
async fn check(script: &str) {
    if std::env::var_os("SPANWAY_PAGES").is_some_and(|wish| wish == "skip") {
        println!("{script} left out: SPANWAY_PAGES=skip");
        return;
    }
    let python = browser::python().await;
    let collector = collector::TestCollector::start().await;
    browser::run(python, script, &[&collector.pages, &collector.otlp]).await;
}

#[tokio::test]
async fn the_search_finds_with_and_without_javascript() {
    check("search.py").await;
}

#[tokio::test]
async fn a_new_trace_appears_without_a_reload() {
    check("live.py").await;
}

#[tokio::test]
async fn an_open_trace_is_told_of_late_spans() {
    check("late.py").await;
}

#[tokio::test]
async fn the_waterfall_is_used_with_pointer_and_keyboard() {
    check("waterfall.py").await;
}

#[tokio::test]
async fn latencies_open_their_spans_and_the_map_shows_who_calls_whom() {
    check("overview.py").await;
}

#[tokio::test]
async fn every_page_fits_narrow_and_wide_windows() {
    check("widths.py").await;
}

#[tokio::test]
async fn hostile_spans_are_shown_harmlessly() {
    check("hostile.py").await;
}

#[tokio::test]
async fn a_thousand_spans_are_used_at_once() {
    check("large.py").await;
}

/// Writes the pictures of the documentation: `UPDATE_DOCS=1 cargo test --test pages pictures`.
#[tokio::test]
async fn the_pictures_of_the_documentation_can_be_made() {
    let docs = format!("{}/docs", env!("CARGO_MANIFEST_DIR"));
    if std::env::var_os("UPDATE_DOCS").is_some() {
        let python = browser::python().await;
        let collector = collector::TestCollector::start().await;
        browser::run(python, "screenshots.py", &[&collector.pages, &collector.otlp, &docs]).await;
    }
    for picture in ["collector-search.png", "collector-trace.png"] {
        let path = format!("{docs}/{picture}");
        let picture = std::fs::read(&path).unwrap();
        assert!(picture.starts_with(b"\x89PNG") && picture.len() < 300_000, "{path}");
    }
}

//! Figures, and how they are printed.

use std::{collections::BTreeMap, fmt::Write};

use serde_json::{Value, json};

use crate::{goals, peer::GUIDED};

/// What a figure is called in JSON and in the table, and its decimals there.
type Figure = (&'static str, &'static str, usize);

/// All figures, in the order of the table.
const FIGURES: [Figure; 33] = [
    ("cpu_us", "CPU us/req", 2),
    ("cpu_ns_per_kb", "CPU ns/KB", 1),
    ("connection_kb", "KB/connection", 2),
    ("start_ms", "start ms", 1),
    ("check_ms", "check ms", 1),
    ("binary_mb", "binary MB", 1),
    ("full_rps", "full req/s", 0),
    ("rate", "sent/s", 0),
    ("rps", "req/s", 0),
    ("busy_percent", "busy %", 0),
    ("p50_us", "p50 us", 0),
    ("p99_us", "p99 us", 0),
    ("p999_us", "p99.9 us", 0),
    ("before_p50_us", "before p50", 0),
    ("before_p99_us", "before p99", 0),
    ("after_p50_us", "after p50", 0),
    ("after_p99_us", "after p99", 0),
    ("x_healthy_p50", "x p50", 2),
    ("x_healthy_p99", "x p99", 2),
    ("added_p50_us", "+p50 us", 0),
    ("added_p99_us", "+p99 us", 0),
    ("added_p999_us", "+p99.9 us", 0),
    ("spans_per_request", "spans/req", 4),
    ("idle_mb", "idle MB", 1),
    ("rss_mb", "VmRSS MB", 1),
    ("hwm_mb", "VmHWM MB", 1),
    ("full_rss_mb", "full RSS MB", 1),
    ("errors", "errors", 0),
    ("answered", "answered", 0),
    ("arrived", "spans arrived", 0),
    ("lost", "spans lost", 0),
    ("x_nginx", "x nginx", 2),
    ("x_envoy", "x Envoy", 2),
];

/// What is compared with nginx and Envoy: the first of these that a row has.
const COMPARED: [&str; 6] = ["added_p50_us", "cpu_us", "connection_kb", "start_ms", "check_ms", "binary_mb"];

/// The figures of one proxy in one variant of a mode.
#[derive(Debug, Clone)]
pub(crate) struct Row {
    pub(crate) mode: &'static str,
    pub(crate) variant: String,
    pub(crate) peer: &'static str,
    pub(crate) figures: BTreeMap<&'static str, f64>,
    /// Each round's, of what the median was taken.
    pub(crate) rounds: Vec<f64>,
    /// What was sampled once a second, by the names of figures.
    pub(crate) series: BTreeMap<&'static str, Vec<f64>>,
}

impl Row {
    /// Without figures.
    pub(crate) fn new(mode: &'static str, variant: &str, peer: &'static str) -> Self {
        Self {
            mode,
            variant: variant.to_owned(),
            peer,
            figures: BTreeMap::new(),
            rounds: Vec::new(),
            series: BTreeMap::new(),
        }
    }

    /// Adds a figure; one that was not measured stays away.
    pub(crate) fn set(&mut self, name: &'static str, value: f64) {
        if value.is_finite() {
            self.figures.insert(name, value);
        }
    }
}

/// The middle one, or the mean of the two in the middle.
pub(crate) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    match (values.len() % 2, middle.checked_sub(1).and_then(|at| values.get(at)), values.get(middle)) {
        (0, Some(low), Some(high)) => (low + high) / 2.0,
        (_, _, Some(value)) => *value,
        _ => f64::NAN,
    }
}

/// Everything that was measured, and with what.
#[derive(Debug, Clone)]
pub(crate) struct Report {
    pub(crate) cores: usize,
    pub(crate) kernel: String,
    pub(crate) versions: Vec<(&'static str, String)>,
    pub(crate) seconds: u64,
    pub(crate) rounds: usize,
    pub(crate) rows: Vec<Row>,
}

impl Report {
    /// A figure by where it stands.
    pub(crate) fn figure(&self, mode: &str, variant: &str, peer: &str, name: &str) -> Option<f64> {
        let found = |row: &&Row| row.mode == mode && row.variant == variant && row.peer == peer;
        self.rows.iter().find(found)?.figures.get(name).copied()
    }

    /// Compares every row with nginx and Envoy of the same variant; what nginx cannot trace, with nginx untraced.
    pub(crate) fn compare(&mut self) {
        let whole = self.clone();
        for row in &mut self.rows {
            let Some(name) = COMPARED.into_iter().find(|name| {
                row.figures.contains_key(name) && (row.mode != "latency" || name.starts_with("added"))
            }) else {
                continue;
            };
            let Some(own) = row.figures.get(name).copied() else { continue };
            let same = |peer| whole.figure(row.mode, &row.variant, peer, name);
            let nginx = same("nginx")
                .or_else(|| whole.figure("tracing", "off", "nginx", name).filter(|_| row.mode == "tracing"));
            let envoy = same("envoy");
            row.set("x_nginx", own / nginx.unwrap_or(f64::NAN));
            row.set("x_envoy", own / envoy.unwrap_or(f64::NAN));
        }
    }

    /// Where it ran, in a line.
    pub(crate) fn conditions(&self) -> String {
        let versions: Vec<String> =
            self.versions.iter().map(|(name, version)| format!("{name} {version}")).collect();
        format!(
            "{} cores, Linux {}; {}; {} rounds of {} s, medians",
            self.cores,
            self.kernel,
            versions.join(", "),
            self.rounds,
            self.seconds
        )
    }

    /// A table per mode, with the columns that it has.
    pub(crate) fn table(&self) -> String {
        let mut text = self.conditions() + "\n";
        let mut modes: Vec<&str> = self.rows.iter().map(|row| row.mode).collect();
        modes.dedup();
        for mode in modes {
            let rows: Vec<&Row> = self.rows.iter().filter(|row| row.mode == mode).collect();
            text.push_str(&mode_table(mode, &rows));
        }
        text
    }

    /// The rows of one mode as a table of Markdown; nothing if it was not measured.
    pub(crate) fn markdown(&self, mode: &str) -> String {
        let rows: Vec<&Row> = self.rows.iter().filter(|row| row.mode == mode).collect();
        let columns = columns(&rows);
        if columns.is_empty() {
            return String::new();
        }
        let mut text = format!("| {mode} | |");
        columns.iter().for_each(|(_, heading, _)| text += &format!(" {heading} |"));
        text += &format!("\n| --- | --- |{}\n", " ---: |".repeat(columns.len()));
        for row in rows {
            text += &format!("| {} | {} |", row.variant, row.peer);
            columns
                .iter()
                .for_each(|column| text += &format!(" {} |", cell(row, column).unwrap_or_default()));
            text.push('\n');
        }
        text
    }

    /// All of it, goals included.
    pub(crate) fn json(&self) -> Value {
        let rows: Vec<Value> = self
            .rows
            .iter()
            .map(|row| {
                json!({
                    "mode": row.mode, "variant": row.variant, "peer": row.peer,
                    "figures": row.figures, "rounds": row.rounds, "series": row.series,
                })
            })
            .collect();
        let versions: BTreeMap<&str, &String> =
            self.versions.iter().map(|(name, version)| (*name, version)).collect();
        let goals_of =
            |name: &str| goals::all(self, name).iter().map(goals::Goal::json).collect::<Vec<Value>>();
        json!({
            "cores": self.cores, "kernel": self.kernel, "versions": versions,
            "seconds": self.seconds, "rounds": self.rounds, "rows": rows,
            "goals": { "spanway": goals_of("spanway"), GUIDED: goals_of(GUIDED) },
        })
    }
}

/// The columns that any of the rows has something for.
fn columns(rows: &[&Row]) -> Vec<&'static Figure> {
    FIGURES.iter().filter(|(name, ..)| rows.iter().any(|row| row.figures.contains_key(name))).collect()
}

/// A figure with its decimals.
fn cell(row: &Row, (name, _, decimals): &Figure) -> Option<String> {
    row.figures.get(name).map(|value| format!("{value:.decimals$}"))
}

/// Aligned columns.
fn mode_table(mode: &str, rows: &[&Row]) -> String {
    let columns = columns(rows);
    let width = rows.iter().map(|row| row.variant.len()).chain([mode.len()]).max().unwrap_or(0);
    let mut text = format!("\n{mode:width$}  {:11}", "");
    for (_, heading, _) in &columns {
        let _ = write!(text, "  {heading:>9}");
    }
    text.push('\n');
    for row in rows {
        let _ = write!(text, "{:width$}  {:11}", row.variant, row.peer);
        for column in &columns {
            let cell = cell(row, column).unwrap_or_else(|| "-".to_owned());
            let _ = write!(text, "  {cell:>width$}", width = column.1.len().max(9));
        }
        text.push('\n');
    }
    text
}

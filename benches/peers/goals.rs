//! What spanway is to reach, beside what it does.

use std::fmt::Write;

use serde_json::{Value, json};

use crate::{peer::GUIDED, report::Report};

/// One bound.
#[derive(Debug, Clone)]
pub(crate) struct Goal {
    what: String,
    bound: f64,
    /// The figure must be at least the bound, not at most.
    at_least: bool,
    unit: &'static str,
    /// What was measured, if it was.
    figure: Option<f64>,
}

impl Goal {
    fn at_most(what: impl Into<String>, bound: f64, unit: &'static str, figure: Option<f64>) -> Self {
        Self { what: what.into(), bound, at_least: false, unit, figure }
    }

    fn met(&self) -> Option<bool> {
        self.figure.map(|figure| if self.at_least { figure >= self.bound } else { figure <= self.bound })
    }

    /// Figure and verdict.
    fn cells(&self) -> String {
        let decimals = if self.unit.starts_with("x ") { 2 } else { 1 };
        let figure = self.figure.map_or_else(String::new, |figure| format!("{figure:.decimals$}"));
        let verdict = match self.met() {
            Some(true) => "met",
            Some(false) => "missed",
            None => "",
        };
        format!("{figure} | {verdict}")
    }

    /// For the JSON of a run.
    pub(crate) fn json(&self) -> Value {
        json!({
            "goal": self.what, "bound": self.bound, "at_least": self.at_least, "unit": self.unit,
            "figure": self.figure, "met": self.met(),
        })
    }
}

/// A part of a whole, where both were measured.
fn ratio(part: Option<f64>, whole: Option<f64>) -> Option<f64> {
    Some(part? / whole?).filter(|ratio| ratio.is_finite())
}

/// All goals with the figures that `own_name`, a build of spanway, has in a run.
pub(crate) fn all(report: &Report, own_name: &str) -> Vec<Goal> {
    let cpu = |mode: &str, variant: &str, peer: &str| report.figure(mode, variant, peer, "cpu_us");
    let traced = |variant: &str, peer: &str| cpu("tracing", variant, peer);
    let spanway = |mode: &str, variant: &str, name: &str| report.figure(mode, variant, own_name, name);
    let own = traced("off", own_name);
    let full = traced("100 %", own_name);
    let mut goals = vec![
        Goal::at_most("tracing off, CPU", 1.0, "x nginx", ratio(own, traced("off", "nginx"))),
        Goal::at_most("tracing off, CPU", 0.5, "x Envoy", ratio(own, traced("off", "envoy"))),
        Goal::at_most("tracing 100 %, CPU", 1.15, "x nginx untraced", ratio(full, traced("off", "nginx"))),
        Goal::at_most("tracing 100 %, CPU", 0.38, "x Envoy traced", ratio(full, traced("100 %", "envoy"))),
        Goal::at_most("tracing 100 %, CPU", 1.15, "x spanway untraced", ratio(full, own)),
        Goal::at_most("tracing 1 %, CPU", 1.02, "x spanway untraced", ratio(traced("1 %", own_name), own)),
    ];
    let logged = ratio(cpu("log", "JSON", own_name), cpu("log", "none", own_name));
    goals.push(Goal::at_most("access log as JSON, CPU", 1.08, "x without", logged));
    for variant in ["to h1", "to h2"] {
        let figure = ratio(cpu("h2", variant, own_name), cpu("h2", variant, "envoy"));
        goals.push(Goal::at_most(format!("h2 {variant}, CPU"), 0.5, "x Envoy", figure));
    }
    for variant in ["10 KB down", "10 KB up", "1 MB down", "1 MB up"] {
        let figure = ratio(cpu("bodies", variant, own_name), cpu("bodies", variant, "envoy"));
        goals.push(Goal::at_most(format!("bodies of {variant}, CPU per byte"), 0.6, "x Envoy", figure));
    }
    for how in ["exact", "prefix"] {
        let of = |routes: &str| cpu("routes", &format!("{routes} {how}"), own_name);
        let what = format!("10,000 routes, last of them, {how}, CPU");
        goals.push(Goal::at_most(what, 1.1, "x 10 routes", ratio(of("10000"), of("10"))));
    }
    // "50 % load of one worker" is the same rate for both, or for each the half of what it can.
    for variant in ["half of Envoy's capacity", "half of its own capacity"] {
        for (name, heading) in [("added_p50_us", "p50"), ("added_p99_us", "p99")] {
            let of = |peer: &str| report.figure("latency", variant, peer, name);
            let what = format!("added latency at {variant}, {heading}");
            goals.push(Goal::at_most(what, 0.7, "x Envoy", ratio(of(own_name), of("envoy"))));
        }
    }
    let check = "check of 2000 routes, 500 clusters";
    goals.extend([
        Goal::at_most("an idle connection", 12.0, "KB", spanway("idle", "4000 connections", "connection_kb")),
        Goal::at_most("memory when idle", 15.0, "MB", spanway("idle", "4000 connections", "idle_mb")),
        Goal::at_most("start to first 200", 20.0, "ms", spanway("start-up", "100 routes", "start_ms")),
        Goal::at_most(check, 200.0, "ms", spanway("start-up", check, "check_ms")),
        Goal::at_most("stripped binary", 25.0, "MB", spanway("start-up", "binary", "binary_mb")),
        Goal {
            what: "two workers, requests per second".to_owned(),
            bound: 1.8,
            at_least: true,
            unit: "x one worker",
            // On fewer cores the load is what is measured.
            figure: ratio(spanway("workers", "2", "rps"), spanway("workers", "1", "rps"))
                .filter(|_| report.cores >= 4),
        },
    ]);
    goals
}

/// The conditions, and the table of docs/performance.md: the release, and the profile-guided build where there was one.
pub(crate) fn markdown(report: &Report) -> String {
    let mut text = format!("{}.\n", report.conditions());
    let goals = all(report, "spanway");
    // Not all modes have goals.
    if goals.iter().all(|goal| goal.figure.is_none()) {
        return text;
    }
    text.push_str("\n| Goal | Bound | Release | | PGO | |\n| --- | ---: | ---: | --- | ---: | --- |\n");
    for (goal, guided) in goals.iter().zip(all(report, GUIDED)) {
        let sign = if goal.at_least { ">=" } else { "<=" };
        let _ = writeln!(
            text,
            "| {} | {sign} {} {} | {} | {} |",
            goal.what,
            goal.bound,
            goal.unit,
            goal.cells(),
            guided.cells()
        );
    }
    text
}

//! `/stats` and `/stats/prometheus`: what was counted, in Envoy's forms.

mod collect;
mod html;
mod json;
mod names;
mod prometheus;
mod routes;
mod text;

use axum::response::Response;
use http::StatusCode;
use regex::Regex;

use self::prometheus::Exposition;
pub(super) use self::routes::{RouteName, each_route};
pub(crate) use self::{collect::all, names::Names};
use super::{answer, command::Asked};
use crate::stats::{Stat, Value};

/// The quantiles that are shown of a histogram, as Envoy names them.
const QUANTILES: [(&str, f64); 10] = [
    ("0", 0.0),
    ("25", 0.25),
    ("50", 0.5),
    ("75", 0.75),
    ("90", 0.9),
    ("95", 0.95),
    ("99", 0.99),
    ("99.5", 0.995),
    ("99.9", 0.999),
    ("100", 1.0),
];

/// What a request asks for.
#[derive(Debug)]
struct Wanted {
    format: Form,
    used_only: bool,
    filter: Option<(Regex, bool)>,
    kind: Option<Kind>,
    buckets: HistogramForm,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Text,
    Json,
    Prometheus,
    Html,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Counters,
    Gauges,
    Histograms,
    TextReadouts,
}

/// How histograms are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum HistogramForm {
    Summary,
    Cumulative,
    Disjoint,
    Detailed,
}

impl Wanted {
    fn of(query: &str, format: Form) -> Result<Self, String> {
        let mut wanted = Self {
            format,
            used_only: false,
            filter: None,
            kind: None,
            buckets: if format == Form::Prometheus {
                HistogramForm::Cumulative
            } else {
                HistogramForm::Summary
            },
        };
        let mut invert = false;
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            match &*name {
                // As in Envoy it is enough to name these.
                "usedonly" => wanted.used_only = true,
                "invert_filter" => invert = true,
                "filter" if value.is_empty() => {}
                "filter" => {
                    let regex = Regex::new(&value)
                        .map_err(|error| format!("filter: not a regular expression: {error}"))?;
                    wanted.filter = Some((regex, false));
                }
                "format" => {
                    wanted.format = match &*value {
                        "json" => Form::Json,
                        "prometheus" => Form::Prometheus,
                        "html" | "active-html" => Form::Html,
                        "text" => Form::Text,
                        _ => {
                            return Err(
                                "usage: /stats?format=(html|active-html|json|prometheus|text)".to_owned()
                            );
                        }
                    };
                    if wanted.format == Form::Prometheus && wanted.buckets == HistogramForm::Summary {
                        wanted.buckets = HistogramForm::Cumulative;
                    }
                }
                "type" => {
                    wanted.kind = match &*value.to_ascii_lowercase() {
                        "all" => None,
                        "counters" => Some(Kind::Counters),
                        "gauges" => Some(Kind::Gauges),
                        "histograms" => Some(Kind::Histograms),
                        "textreadouts" => Some(Kind::TextReadouts),
                        _ => {
                            return Err(
                                "usage: /stats?type=(All|Counters|Histograms|Gauges|TextReadouts)".to_owned()
                            );
                        }
                    };
                }
                "histogram_buckets" => {
                    wanted.buckets = match &*value {
                        "cumulative" => HistogramForm::Cumulative,
                        "disjoint" => HistogramForm::Disjoint,
                        "detailed" => HistogramForm::Detailed,
                        "" | "none" | "summary" => HistogramForm::Summary,
                        _ => {
                            return Err(
                                "usage: /stats?histogram_buckets=(cumulative|disjoint|detailed|summary)"
                                    .to_owned(),
                            );
                        }
                    };
                }
                _ => {}
            }
        }
        if let Some((_, inverted)) = &mut wanted.filter {
            *inverted = invert;
        }
        Ok(wanted)
    }

    fn takes(&self, stat: &Stat) -> bool {
        let kind = match &stat.value {
            Value::Counter(_) => Kind::Counters,
            Value::Gauge(_) => Kind::Gauges,
            Value::Histogram(_) => Kind::Histograms,
        };
        self.kind.is_none_or(|wanted| wanted == kind)
            && (!self.used_only || stat.used)
            && self.filter.as_ref().is_none_or(|(regex, invert)| regex.is_match(&stat.name.full) != *invert)
    }

    /// Whether it takes the durations of routes, which only Prometheus is told.
    fn takes_routes(&self) -> bool {
        let matches = |(regex, invert): &(Regex, bool)| regex.is_match(routes::NAME) != *invert;
        self.kind.is_none_or(|wanted| wanted == Kind::Histograms) && self.filter.as_ref().is_none_or(matches)
    }
}

/// `/stats`
pub(super) fn page(asked: &Asked) -> Response {
    show(asked, Wanted::of(&asked.query, Form::Text))
}

/// `/stats/prometheus`
pub(super) fn prometheus_page(asked: &Asked) -> Response {
    let wanted = Wanted::of(&asked.query, Form::Prometheus);
    show(asked, wanted.map(|wanted| Wanted { format: Form::Prometheus, ..wanted }))
}

/// `/reset_counters`
pub(super) fn reset(asked: &Asked) -> Response {
    collect::reset_counters(&asked.subject);
    answer::text("OK\n")
}

fn show(asked: &Asked, wanted: Result<Wanted, String>) -> Response {
    let wanted = match wanted {
        Ok(wanted) => wanted,
        Err(message) => return answer::refusal(StatusCode::BAD_REQUEST, format!("{message}\n")),
    };
    if let Some(flush) = &asked.subject.flush {
        flush.notify_one();
    }
    let mut stats = collect::all(&asked.subject);
    stats.retain(|stat| wanted.takes(stat));
    match wanted.format {
        Form::Text => answer::text(text::write(&stats, wanted.buckets)),
        Form::Json => answer::json_text(json::write(&stats, wanted.buckets).to_string()),
        Form::Prometheus => {
            let exposition = if asked.open_metrics { Exposition::OpenMetrics } else { Exposition::Text };
            let mut out = prometheus::write(&stats, wanted.buckets, exposition);
            if wanted.takes_routes() {
                // Writing to a text does not fail.
                let _ = routes::write(&mut out, &asked.subject, exposition);
            }
            if exposition == Exposition::OpenMetrics {
                out.push_str("# EOF\n");
            }
            answer::typed(StatusCode::OK, exposition.content_type(), out)
        }
        Form::Html => html::write(&text::write(&stats, wanted.buckets), &asked.query),
    }
}

//! An outage of the collector, second by second, as SVG: what is measured in panels one above the other, a line for each
//! proxy, and the phases behind them.

use std::fmt::Write;

use crate::{
    faulty::Behaviour,
    outage,
    peer::GUIDED,
    report::{Report, Row},
    scale::{Scale, tidy},
};

/// Where the panels begin and end, from left to right.
const LEFT: f64 = 74.0;
const RIGHT: f64 = 876.0;
/// The whole width.
const WIDTH: f64 = 900.0;
/// Above the first panel: title, legend and the names of the phases.
const TOP: f64 = 78.0;
/// Height of a panel, and of the line above it.
const PANEL: f64 = 112.0;
const HEADING: f64 = 30.0;
/// The most lines of a panel, and the most seconds that are written below.
const LINES: u32 = 5;
const SECONDS: u32 = 14;

/// Colours for light and dark pages; whoever shows the file tells which it is.
const STYLE: &str = "
.page { fill: #ffffff } .text { fill: #1f2328 } .faint { fill: #59636e }
.grid { stroke: #d1d9e0 } .edge { stroke: #818b98; stroke-dasharray: 2 3 }
.gone { fill: #cf222e; opacity: 0.07 } .hangs { fill: #bf8700; opacity: 0.12 }
.line { fill: none; stroke-width: 1.8; stroke-linejoin: round; stroke-linecap: round }
.envoy { stroke: #c4731c } .spanway { stroke: #1f6fc0 } .guided { stroke: #1f8a70; stroke-dasharray: 6 3 }
@media (prefers-color-scheme: dark) {
.page { fill: #0d1117 } .text { fill: #f0f6fc } .faint { fill: #9198a1 }
.grid { stroke: #2f3742 } .edge { stroke: #6e7681 }
.gone { fill: #ff7b72; opacity: 0.11 } .hangs { fill: #e3b341; opacity: 0.14 }
.envoy { stroke: #e8a45c } .spanway { stroke: #58a6ff } .guided { stroke: #3fc29c }
}
";

/// What is drawn in a panel.
struct Panel {
    /// With RATE where the rate is to stand.
    title: &'static str,
    /// The run and the figure that it shows.
    run: &'static str,
    figure: &'static str,
    /// What values are divided by.
    unit: f64,
    /// A power of ten from one line to the next.
    logarithmic: bool,
}

/// From top to bottom.
const PANELS: [Panel; 4] = [
    Panel {
        title: "requests per second at full load",
        run: outage::FULL,
        figure: "answered",
        unit: 1.0,
        logarithmic: false,
    },
    Panel {
        title: "p50 in ms, RATE requests per second (logarithmic)",
        run: outage::PACED,
        figure: "p50_us",
        unit: 1e3,
        logarithmic: true,
    },
    Panel {
        title: "p99 in ms, RATE requests per second (logarithmic)",
        run: outage::PACED,
        figure: "p99_us",
        unit: 1e3,
        logarithmic: true,
    },
    Panel {
        title: "resident memory in MB, RATE requests per second",
        run: outage::PACED,
        figure: "rss_mb",
        unit: 1.0,
        logarithmic: false,
    },
];

/// The class of a proxy's line.
fn class(peer: &str) -> &'static str {
    match peer {
        "envoy" => "envoy",
        GUIDED => "guided",
        _ => "spanway",
    }
}

/// A phase as it was measured.
struct Phase<'run> {
    name: &'run str,
    /// The seconds at which it begins and ends.
    begin: f64,
    end: f64,
}

/// The phases of the first proxy, which are those of all.
fn phases<'run>(rows: &[&'run Row]) -> Vec<Phase<'run>> {
    let first = rows.first().map_or("", |row| row.peer);
    let lengths = rows.iter().filter(|row| row.peer == first);
    lengths
        .filter_map(|row| Some((row.variant.as_str(), *row.figures.get("seconds")?)))
        .scan(0.0, |begin, (name, seconds)| {
            let phase = Phase { name, begin: *begin, end: *begin + seconds };
            *begin = phase.end;
            Some(phase)
        })
        .collect()
}

/// What lies behind the lines: phases in which the collector fails are shaded, and each begins with an edge.
fn backdrop(body: &mut String, phases: &[Phase<'_>], time: &Scale, top: f64) {
    for phase in phases {
        let (begin, end) = (time.at(phase.begin), time.at(phase.end));
        if let Some(behaviour) = outage::fault(phase.name) {
            let width = end - begin;
            let shade = if behaviour == Behaviour::Refuses { "gone" } else { "hangs" };
            let _ = writeln!(
                body,
                "<rect class=\"{shade}\" x=\"{begin:.1}\" y=\"{top:.1}\" width=\"{width:.1}\" height=\"{PANEL}\"/>"
            );
        }
        if phase.begin > 0.0 {
            let bottom = top + PANEL;
            let _ = writeln!(
                body,
                "<line class=\"edge\" x1=\"{begin:.1}\" x2=\"{begin:.1}\" y1=\"{top:.1}\" y2=\"{bottom:.1}\"/>"
            );
        }
    }
}

/// The lines of one proxy: one, unless seconds without an answer interrupt it.
fn lines(body: &mut String, peer: &str, values: &[f64], time: &Scale, scale: &Scale) {
    let place = |(second, value): (usize, &f64)| {
        value.is_finite().then(|| format!("{:.1},{:.1}", time.at(second as f64 + 0.5), scale.at(*value)))
    };
    let places: Vec<Option<String>> = values.iter().enumerate().map(place).collect();
    for part in places.split(Option::is_none).filter(|part| !part.is_empty()) {
        let points: Vec<&str> = part.iter().filter_map(Option::as_deref).collect();
        let _ = writeln!(body, "<polyline class=\"line {}\" points=\"{}\"/>", class(peer), points.join(" "));
    }
}

impl Panel {
    /// Each proxy with its values.
    fn values<'run>(&self, rows: &[&'run Row]) -> Vec<(&'run str, Vec<f64>)> {
        let rows = rows.iter().filter(|row| row.variant == self.run);
        let of = |row: &&'run Row| {
            let values = row.series.get(self.figure)?.iter().map(|value| value / self.unit).collect();
            Some((row.peer, values))
        };
        rows.filter_map(of).collect()
    }

    /// Draws it with its upper edge at `top`.
    fn draw(&self, body: &mut String, rows: &[&Row], time: &Scale, top: f64) {
        let values = self.values(rows);
        let rate =
            rows.iter().find_map(|row| row.figures.get("rate")).map_or(String::new(), |rate| tidy(*rate));
        let bottom = top + PANEL;
        let all = values.iter().flat_map(|(_, values)| values.iter().copied());
        let scale = if self.logarithmic {
            Scale::logarithmic(all, (bottom, top))
        } else {
            Scale::linear(all.chain([0.0]), (bottom, top))
        };
        backdrop(body, &phases(rows), time, top);
        for tick in scale.ticks(LINES) {
            let y = scale.at(tick);
            let _ = writeln!(
                body,
                "<line class=\"grid\" x1=\"{LEFT}\" x2=\"{RIGHT}\" y1=\"{y:.1}\" y2=\"{y:.1}\"/>\
                 <text class=\"faint\" x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>",
                LEFT - 8.0,
                y + 4.0,
                tidy(tick)
            );
        }
        for (peer, values) in &values {
            lines(body, peer, values, time, &scale);
        }
        let _ = writeln!(
            body,
            "<text class=\"text\" x=\"{LEFT}\" y=\"{:.1}\" font-weight=\"bold\">{}</text>",
            top - 8.0,
            self.title.replace("RATE", &rate)
        );
    }
}

/// A short line and a name for each proxy, from the right.
fn legend(body: &mut String, peers: &[&str]) {
    let mut end = RIGHT;
    for peer in peers.iter().rev() {
        let begin = end - 8.0 * peer.len() as f64;
        let _ = writeln!(
            body,
            "<line class=\"line {}\" x1=\"{:.1}\" x2=\"{:.1}\" y1=\"20\" y2=\"20\"/>\
             <text class=\"text\" x=\"{begin:.1}\" y=\"24\">{peer}</text>",
            class(peer),
            begin - 30.0,
            begin - 8.0,
        );
        end = begin - 46.0;
    }
}

/// Whether the mode was among those of the run.
pub(crate) fn has_something(report: &Report) -> bool {
    report.rows.iter().any(|row| row.mode == outage::NAME)
}

/// All panels.
pub(crate) fn svg(report: &Report) -> String {
    let rows: Vec<&Row> = report.rows.iter().filter(|row| row.mode == outage::NAME).collect();
    let phases = phases(&rows);
    let length = phases.last().map_or(1.0, |phase| phase.end);
    let time = Scale::exact((0.0, length), (LEFT, RIGHT));
    let mut body = String::new();
    for (number, panel) in PANELS.iter().enumerate() {
        panel.draw(&mut body, &rows, &time, TOP + number as f64 * (PANEL + HEADING));
    }
    let peers: Vec<&str> =
        rows.iter().filter(|row| row.variant == outage::PACED).map(|row| row.peer).collect();
    legend(&mut body, &peers);
    for phase in &phases {
        let middle = time.at(phase.begin.midpoint(phase.end));
        let _ = writeln!(
            body,
            "<text class=\"faint\" x=\"{middle:.1}\" y=\"48\" text-anchor=\"middle\">{}</text>",
            phase.name
        );
    }
    let bottom = TOP + PANELS.len() as f64 * (PANEL + HEADING) - HEADING;
    for tick in time.ticks(SECONDS) {
        let _ = writeln!(
            body,
            "<text class=\"faint\" x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{} s</text>",
            time.at(tick),
            bottom + 18.0,
            tidy(tick)
        );
    }
    let height = bottom + 32.0;
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" width=\"{WIDTH}\" \
         height=\"{height}\" font-family=\"sans-serif\" font-size=\"12\">\n<style>{STYLE}</style>\n\
         <rect class=\"page\" width=\"100%\" height=\"100%\"/>\n\
         <text class=\"text\" x=\"16\" y=\"24\" font-size=\"15\" font-weight=\"bold\">\
         While the trace collector dies, hangs and returns</text>\n{body}</svg>\n"
    )
}

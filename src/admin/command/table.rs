//! What there is.

use super::{Command, Kind, Parameter, Run};
use crate::admin::{
    certs, clusters, config_dump, explain, help, home, listeners, logging, memory, runtime, server_info,
    state, stats, tracing,
};

/// What can be asked or told, by path.
pub(in crate::admin) const COMMANDS: &[Command] = &[
    get("/", "all of this as a page", &[], Run::Here(home::page)),
    get(
        "/certs",
        "certificates of listeners and clusters, and when they expire",
        &[],
        Run::Here(certs::page),
    ),
    get(
        "/clusters",
        "clusters, their limits, and what each host did",
        &[text("filter", "only clusters whose name matches this regular expression"), FORMAT],
        Run::Here(clusters::page),
    ),
    get(
        "/config_dump",
        "the configuration that is served, secrets redacted",
        CONFIG_DUMP,
        Run::Apart(config_dump::page),
    ),
    post(
        "/drain_listeners",
        "have connections end, and listeners accept no more",
        &[
            flag(
                "graceful",
                "open connections end with their next response, and listeners accept until --drain-time-s is over",
            ),
            flag("skip_exit", "only connections: listeners go on to accept"),
            flag("inboundonly", "only listeners whose traffic_direction is INBOUND"),
        ],
        Run::Here(state::drain_listeners),
    ),
    get(
        "/explain",
        "why a request would go where it goes, without sending it",
        EXPLAIN,
        Run::Apart(explain::page),
    ),
    post(
        "/healthcheck/fail",
        "answer health checks badly from now on",
        &[],
        Run::Here(state::fail_health_check),
    ),
    post("/healthcheck/ok", "answer health checks well again", &[], Run::Here(state::pass_health_check)),
    get("/help", "this list", &[], Run::Here(help::page)),
    get(
        "/hot_restart_version",
        "whether processes can hand over to each other: they cannot",
        &[],
        Run::Here(server_info::hot_restart_version),
    ),
    get("/listeners", "listeners and their addresses", &[FORMAT], Run::Here(listeners::page)),
    post(
        "/logging",
        "tell, or change, from which level on each room logs",
        &[
            text("paths", "the levels of several rooms: room:level,room:level"),
            one_of(
                "level",
                "the level of all rooms",
                &["", "trace", "debug", "info", "warning", "error", "critical", "off"],
            ),
        ],
        Run::Here(logging::page),
    ),
    get("/memory", "how much memory the process has", &[], Run::Here(memory::page)),
    post("/quitquitquit", "end the process, after open requests", &[], Run::Here(state::quit)),
    get("/ready", "the state: 200 while it is LIVE, else 503", &[], Run::Here(state::ready)),
    post(
        "/reopen_logs",
        "open the files of --log-path and of access logs again, after they were moved",
        &[],
        Run::Here(state::reopen_logs),
    ),
    post("/reset_counters", "begin to count at zero again", &[], Run::Here(stats::reset)),
    get("/runtime", "runtime keys and where their values are from", &[], Run::Here(runtime::page)),
    get("/server_info", "version, state, command line and node", &[], Run::Here(server_info::page)),
    get("/stats", "what is counted", STATS, Run::Here(stats::page)),
    get("/stats/prometheus", "the same for Prometheus", PROMETHEUS, Run::Here(stats::prometheus_page)),
    get("/traces", "this proxy's own newest traces, if it keeps them (--keep-traces)", &[], Run::Elsewhere),
    get("/tracing", "what becomes of spans, per tracer", &[FORMAT], Run::Here(tracing::page)),
];

const FORMAT: Parameter = one_of("format", "how it is written", &["text", "json"]);
const CONFIG_DUMP: &[Parameter] = &[
    text("resource", "only this list, such as dynamic_active_clusters or static_listeners"),
    text("mask", "only these fields, divided by commas; of each item where resource is given"),
    text("name_regex", "only what has a name that matches this regular expression"),
    flag("include_eds", "also the hosts that clusters have now"),
];
const EXPLAIN: &[Parameter] = &[
    text("request", "the request: a method and a URL"),
    text("header", "a header of it, such as x-canary: 1; may be given several times"),
    text(
        "listener",
        "the name or address of the listener that it comes to; else the one with the URL's port",
    ),
    text("source", "the address that it comes from; else 127.0.0.1"),
    one_of("http", "which HTTP the client speaks", &["1.1", "1.0", "2"]),
    text("random", "the random number that decides what is left to chance; else one that gets what most get"),
    FORMAT,
];
const USED_ONLY: Parameter = flag("usedonly", "only what was ever written");
const FILTER: Parameter = text("filter", "only names that match this regular expression");
const INVERT_FILTER: Parameter = flag("invert_filter", "only names that do not");

const STATS: &[Parameter] = &[
    USED_ONLY,
    FILTER,
    INVERT_FILTER,
    one_of("format", "how it is written", &["html", "active-html", "text", "json", "prometheus"]),
    one_of(
        "type",
        "only statistics of this kind",
        &["All", "Counters", "Histograms", "Gauges", "TextReadouts"],
    ),
    one_of(
        "histogram_buckets",
        "how histograms are shown",
        &["cumulative", "disjoint", "detailed", "summary"],
    ),
];

const PROMETHEUS: &[Parameter] = &[
    USED_ONLY,
    FILTER,
    INVERT_FILTER,
    one_of("histogram_buckets", "how histograms are shown", &["cumulative", "summary"]),
];

const fn get(path: &'static str, help: &'static str, parameters: &'static [Parameter], run: Run) -> Command {
    Command { path, help, mutates: false, parameters, run }
}

const fn post(path: &'static str, help: &'static str, parameters: &'static [Parameter], run: Run) -> Command {
    Command { path, help, mutates: true, parameters, run }
}

const fn text(name: &'static str, help: &'static str) -> Parameter {
    Parameter { name, help, kind: Kind::Text }
}

const fn flag(name: &'static str, help: &'static str) -> Parameter {
    Parameter { name, help, kind: Kind::Flag }
}

const fn one_of(name: &'static str, help: &'static str, values: &'static [&'static str]) -> Parameter {
    Parameter { name, help, kind: Kind::OneOf(values) }
}

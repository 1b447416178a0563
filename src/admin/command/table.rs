//! What there is.

use super::{Command, Kind, Parameter, Run};
use crate::admin::{
    certs, clusters, config_dump, help, home, listeners, logging, memory, runtime, server_info, state, stats,
    tracing,
};

/// What can be asked or told, by path.
pub(in crate::admin) const COMMANDS: &[Command] = &[
    get("/", "Admin home page", &[], Run::Here(home::page)),
    get("/certs", "print certs on machine", &[], Run::Here(certs::page)),
    get(
        "/clusters",
        "upstream cluster status",
        &[text("filter", "Regular expression for filtering clusters by name"), FORMAT],
        Run::Here(clusters::page),
    ),
    get("/config_dump", "dump current configs", CONFIG_DUMP, Run::Apart(config_dump::page)),
    post(
        "/drain_listeners",
        "drain listeners",
        &[
            flag(
                "graceful",
                "Open connections end with their next response, and listeners accept until --drain-time-s is over",
            ),
            flag("skip_exit", "Only drain connections: listeners go on to accept"),
            flag("inboundonly", "Drain only listeners whose traffic_direction is INBOUND"),
        ],
        Run::Here(state::drain_listeners),
    ),
    post(
        "/healthcheck/fail",
        "cause the server to fail health checks",
        &[],
        Run::Here(state::fail_health_check),
    ),
    post(
        "/healthcheck/ok",
        "cause the server to pass health checks",
        &[],
        Run::Here(state::pass_health_check),
    ),
    get("/help", "print out list of admin commands", &[], Run::Here(help::page)),
    get(
        "/hot_restart_version",
        "print the hot restart compatibility version",
        &[],
        Run::Here(server_info::hot_restart_version),
    ),
    get("/listeners", "print listener info", &[FORMAT], Run::Here(listeners::page)),
    post(
        "/logging",
        "query/change logging levels",
        &[
            text(
                "paths",
                "Change multiple logging levels by setting to <logger_name1>:<desired_level1>,<logger_name2>:<desired_level2>",
            ),
            one_of(
                "level",
                "desired logging level, this will change all loggers's level",
                &["", "trace", "debug", "info", "warning", "error", "critical", "off"],
            ),
        ],
        Run::Here(logging::page),
    ),
    get("/memory", "print current allocation/heap usage", &[], Run::Here(memory::page)),
    post("/quitquitquit", "exit the server", &[], Run::Here(state::quit)),
    get(
        "/ready",
        "print server state, return 200 if LIVE, otherwise return 503",
        &[],
        Run::Here(state::ready),
    ),
    post(
        "/reopen_logs",
        "open the file of --log-path again, after it was moved",
        &[],
        Run::Here(state::reopen_logs),
    ),
    post("/reset_counters", "reset all counters to zero", &[], Run::Here(stats::reset)),
    get("/runtime", "print runtime values", &[], Run::Here(runtime::page)),
    get("/server_info", "print server version/status information", &[], Run::Here(server_info::page)),
    get("/stats", "print server stats", STATS, Run::Here(stats::page)),
    get(
        "/stats/prometheus",
        "print server stats in prometheus format",
        PROMETHEUS,
        Run::Here(stats::prometheus_page),
    ),
    get("/traces", "this proxy's own newest traces, if it keeps them (--keep-traces)", &[], Run::Elsewhere),
    get("/tracing", "what becomes of spans, per tracer", &[FORMAT], Run::Here(tracing::page)),
];

const FORMAT: Parameter = one_of("format", "File format to use", &["text", "json"]);
const CONFIG_DUMP: &[Parameter] = &[
    text("resource", "The resource to dump"),
    text(
        "mask",
        "The mask to apply. When both resource and mask are specified, the mask is applied to every element in the desired repeated field so that only a subset of fields are returned. The mask is parsed as a Protobuf::FieldMask",
    ),
    text(
        "name_regex",
        "Dump only the currently loaded configurations whose names match the specified regex. Can be used with both resource and mask query parameters.",
    ),
    flag(
        "include_eds",
        "Dump currently loaded configuration including EDS. See the response definition for more information",
    ),
];
const USED_ONLY: Parameter =
    flag("usedonly", "Only include stats that have been written by system since restart");
const FILTER: Parameter = text("filter", "Regular expression for filtering stats");
const INVERT_FILTER: Parameter = flag("invert_filter", "Invert the filter regex");

const STATS: &[Parameter] = &[
    USED_ONLY,
    FILTER,
    INVERT_FILTER,
    one_of("format", "Format to use", &["html", "active-html", "text", "json", "prometheus"]),
    one_of("type", "Stat types to include.", &["All", "Counters", "Histograms", "Gauges", "TextReadouts"]),
    one_of(
        "histogram_buckets",
        "Histogram bucket display mode",
        &["cumulative", "disjoint", "detailed", "summary"],
    ),
];

const PROMETHEUS: &[Parameter] = &[
    USED_ONLY,
    FILTER,
    INVERT_FILTER,
    one_of("histogram_buckets", "Histogram bucket display mode", &["cumulative", "summary"]),
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

//! What a sandbox consists of, as data: who takes part, where each listens, who calls whom, and what
//! the traces of its requests must look like.

/// The sandboxes that this build knows.
pub(super) const KNOWN: &[&Topology] = &[&OPENTELEMETRY];

/// A sandbox of Envoy's, as its compose file would tell it.
#[derive(Debug)]
pub(super) struct Topology {
    /// The folder's name below `sandboxes/`, and the argument of `spanway sandbox`.
    pub(super) name: &'static str,
    /// Everyone who takes part.
    pub(super) members: &'static [Member],
    /// Where requests go in.
    pub(super) entrance: &'static str,
    /// Where the collector shows the traces.
    pub(super) pages: &'static str,
    /// The requests that show something, each with the trace that it must leave.
    pub(super) requests: &'static [Request],
}

/// One process of a sandbox: what a container is to the compose file.
#[derive(Debug)]
pub(super) struct Member {
    /// The host name by which the YAML of the others calls it.
    pub(super) name: &'static str,
    /// What it runs.
    pub(super) role: Role,
    /// Where it listens, in the order of its file.
    pub(super) places: &'static [Place],
    /// Whom it calls: HOST:PORT as its YAML has them.
    pub(super) calls: &'static [&'static str],
}

/// What a member runs.
#[derive(Debug)]
pub(super) enum Role {
    /// A proxy with an Envoy configuration.
    Proxy {
        /// The file's name in the sandbox's folder.
        file: &'static str,
        /// The same file as it was when this binary was built.
        built_in: &'static str,
    },
    /// A service that answers `/trace/<service_name>`.
    Service {
        /// The name in its path and its greeting.
        service_name: &'static str,
    },
    /// `spanway collector`, which listens in three places: gRPC, HTTP, pages.
    Collector,
}

/// An address that a member listens on.
#[derive(Debug)]
pub(super) struct Place {
    /// The port in the YAML, where every member has a host of its own.
    pub(super) port: u16,
    /// The port on loopback, which all members share.
    pub(super) loopback_port: u16,
    /// What is to be had there.
    pub(super) purpose: &'static str,
}

/// A request to the entrance and what must come of it.
#[derive(Debug)]
pub(super) struct Request {
    /// Its path.
    pub(super) path: &'static str,
    /// The body of the answer.
    pub(super) answer: &'static str,
    /// The spans, the root first, each the child of the one before.
    pub(super) hops: &'static [Hop],
}

/// A span as it must be.
#[derive(Debug)]
pub(super) struct Hop {
    /// `service.name` of the resource.
    pub(super) service: &'static str,
    /// The span's name: the route's decorator, passed on to the callee.
    pub(super) name: &'static str,
    /// `CLIENT` behind an outbound listener, `SERVER` behind an inbound one.
    pub(super) kind: &'static str,
}

impl Topology {
    /// The sandbox of that name.
    pub(super) fn named(name: &str) -> Option<&'static Topology> {
        KNOWN.iter().copied().find(|topology| topology.name == name)
    }
}

/// Envoy's OpenTelemetry sandbox.
///
/// The ports that a user types (10000, 4317, 4318, 55679) are those of its document. The others lie
/// side by side below the ephemeral range, so that no outgoing connection takes them by chance.
static OPENTELEMETRY: Topology = Topology {
    name: "opentelemetry",
    entrance: "envoy-front-proxy:10000",
    pages: "opentelemetry:55679",
    members: &[
        Member {
            name: "envoy-front-proxy",
            role: Role::Proxy {
                file: "envoy-front-proxy.yaml",
                built_in: include_str!("../../sandboxes/opentelemetry/envoy-front-proxy.yaml"),
            },
            places: &[Place {
                port: 10000,
                loopback_port: 10000,
                purpose: "front proxy: send requests here",
            }],
            calls: &["envoy-1:10000", "envoy-1:10001", "opentelemetry:4317"],
        },
        Member {
            name: "envoy-1",
            role: Role::Proxy {
                file: "envoy-1.yaml",
                built_in: include_str!("../../sandboxes/opentelemetry/envoy-1.yaml"),
            },
            places: &[
                Place { port: 10000, loopback_port: 10100, purpose: "proxy, inbound to service-1" },
                Place { port: 10001, loopback_port: 10101, purpose: "proxy, outbound to envoy-2" },
            ],
            calls: &["service-1:8080", "envoy-2:10000", "opentelemetry:4317"],
        },
        Member {
            name: "envoy-2",
            role: Role::Proxy {
                file: "envoy-2.yaml",
                built_in: include_str!("../../sandboxes/opentelemetry/envoy-2.yaml"),
            },
            places: &[Place { port: 10000, loopback_port: 10200, purpose: "proxy, inbound to service-2" }],
            calls: &["service-2:8080", "opentelemetry:4317"],
        },
        Member {
            name: "service-1",
            role: Role::Service { service_name: "1" },
            places: &[Place { port: 8080, loopback_port: 10180, purpose: "answers /trace/1" }],
            calls: &[],
        },
        Member {
            name: "service-2",
            role: Role::Service { service_name: "2" },
            places: &[Place { port: 8080, loopback_port: 10280, purpose: "answers /trace/2" }],
            calls: &[],
        },
        Member {
            name: "opentelemetry",
            role: Role::Collector,
            places: &[
                Place { port: 4317, loopback_port: 4317, purpose: "receives OTLP/gRPC" },
                Place { port: 4318, loopback_port: 4318, purpose: "receives OTLP/HTTP" },
                Place { port: 55679, loopback_port: 55679, purpose: "shows the traces" },
            ],
            calls: &[],
        },
    ],
    requests: &[
        Request {
            path: "/trace/1",
            answer: "Hello from behind Envoy (service 1)!\n",
            hops: &[
                Hop { service: "front-envoy", name: "routeToEnvoy1", kind: "CLIENT" },
                Hop { service: "envoy-1", name: "routeToEnvoy1", kind: "SERVER" },
            ],
        },
        Request {
            path: "/trace/2",
            answer: "Hello from behind Envoy (service 2)!\n",
            hops: &[
                Hop { service: "front-envoy", name: "routeToEnvoy2ViaEnvoy1", kind: "CLIENT" },
                Hop { service: "envoy-1", name: "routeToEnvoy2", kind: "CLIENT" },
                Hop { service: "envoy-2", name: "routeToEnvoy2", kind: "SERVER" },
            ],
        },
    ],
};

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn no_two_places_share_a_loopback_port() {
        for topology in KNOWN {
            let mut seen = HashSet::new();
            for place in topology.members.iter().flat_map(|member| member.places) {
                assert!(seen.insert(place.loopback_port), "{}: {place:?}", topology.name);
            }
        }
    }

    #[test]
    fn every_place_and_every_callee_stands_in_the_yaml() {
        for member in KNOWN.iter().flat_map(|topology| topology.members) {
            let Role::Proxy { built_in, .. } = member.role else { continue };
            for place in member.places {
                assert!(built_in.contains(&format!("port_value: {}", place.port)), "{member:?}");
            }
            for callee in member.calls {
                let (host, port) = callee.split_once(':').unwrap();
                let address = format!("address: {host}\n                port_value: {port}\n");
                assert!(built_in.contains(&address), "{} {callee}", member.name);
            }
        }
    }
}

//! Response flags: why a stream did not go well, in Envoy's short codes.

/// One reason. The name says it; the code is Envoy's (`%RESPONSE_FLAGS%`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ResponseFlag {
    /// `LH`: the local service failed its health check.
    FailedLocalHealthCheck,
    /// `UH`: the cluster has no healthy host.
    NoHealthyUpstream,
    /// `UT`: the upstream did not answer in time.
    UpstreamRequestTimeout,
    /// `LR`: the proxy reset the stream.
    LocalReset,
    /// `UR`: the upstream reset the stream.
    UpstreamRemoteReset,
    /// `UF`: no connection to the upstream.
    UpstreamConnectionFailure,
    /// `UC`: the upstream closed the connection.
    UpstreamConnectionTermination,
    /// `UO`: a circuit breaker was open.
    UpstreamOverflow,
    /// `NR`: no route.
    NoRouteFound,
    /// `DC`: the client went away.
    DownstreamConnectionTermination,
    /// `URX`: retries or connection attempts were used up.
    UpstreamRetryLimitExceeded,
    /// `SI`: nothing moved for too long.
    StreamIdleTimeout,
    /// `DPE`: the client broke the protocol.
    DownstreamProtocolError,
    /// `UPE`: the upstream broke the protocol.
    UpstreamProtocolError,
    /// `NC`: the route names a cluster that does not exist.
    NoClusterFound,
}

/// All flags in the order in which Envoy writes them: what kept a request from being retried, then how its last attempt
/// went.
const ALL: [(ResponseFlag, &str); 15] = [
    (ResponseFlag::UpstreamRetryLimitExceeded, "URX"),
    (ResponseFlag::UpstreamOverflow, "UO"),
    (ResponseFlag::FailedLocalHealthCheck, "LH"),
    (ResponseFlag::NoHealthyUpstream, "UH"),
    (ResponseFlag::UpstreamRequestTimeout, "UT"),
    (ResponseFlag::LocalReset, "LR"),
    (ResponseFlag::UpstreamRemoteReset, "UR"),
    (ResponseFlag::UpstreamConnectionFailure, "UF"),
    (ResponseFlag::UpstreamConnectionTermination, "UC"),
    (ResponseFlag::NoRouteFound, "NR"),
    (ResponseFlag::DownstreamConnectionTermination, "DC"),
    (ResponseFlag::StreamIdleTimeout, "SI"),
    (ResponseFlag::DownstreamProtocolError, "DPE"),
    (ResponseFlag::UpstreamProtocolError, "UPE"),
    (ResponseFlag::NoClusterFound, "NC"),
];

/// A set of flags.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct ResponseFlags(u32);

impl ResponseFlags {
    /// This set and `flag`.
    #[must_use]
    pub(crate) fn with(self, flag: ResponseFlag) -> Self {
        Self(self.0 | 1 << flag as u32)
    }

    /// Whether `flag` is in it.
    pub(crate) fn contains(self, flag: ResponseFlag) -> bool {
        self.0 & (1 << flag as u32) != 0
    }

    /// The flags as the bits that Envoy's attribute `response.flags` has.
    pub(crate) fn bits(self) -> u32 {
        let bits = ALL.iter().filter(|(flag, _)| self.contains(*flag)).map(|(flag, _)| match flag {
            ResponseFlag::FailedLocalHealthCheck => 0,
            ResponseFlag::NoHealthyUpstream => 1,
            ResponseFlag::UpstreamRequestTimeout => 2,
            ResponseFlag::LocalReset => 3,
            ResponseFlag::UpstreamRemoteReset => 4,
            ResponseFlag::UpstreamConnectionFailure => 5,
            ResponseFlag::UpstreamConnectionTermination => 6,
            ResponseFlag::UpstreamOverflow => 7,
            ResponseFlag::NoRouteFound => 8,
            ResponseFlag::DownstreamConnectionTermination => 14,
            ResponseFlag::UpstreamRetryLimitExceeded => 15,
            ResponseFlag::StreamIdleTimeout => 16,
            ResponseFlag::DownstreamProtocolError => 18,
            ResponseFlag::UpstreamProtocolError => 23,
            ResponseFlag::NoClusterFound => 24,
        });
        bits.fold(0, |all, bit| all | 1 << bit)
    }

    /// Whether there is none.
    pub(crate) fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The short codes, joined by `,`; `-` for none.
    pub(crate) fn text(self) -> std::borrow::Cow<'static, str> {
        let mut codes = ALL.iter().filter(|(flag, _)| self.contains(*flag)).map(|(_, code)| *code);
        match (codes.next(), codes.next()) {
            (None, _) => "-".into(),
            (Some(only), None) => only.into(),
            (Some(first), Some(second)) => {
                [first, second].into_iter().chain(codes).collect::<Vec<_>>().join(",").into()
            }
        }
    }

    /// The long names, joined by `,`; `-` for none.
    pub(crate) fn long_text(self) -> std::borrow::Cow<'static, str> {
        let flags = ALL.iter().filter(|(flag, _)| self.contains(*flag));
        let names = flags.map(|(flag, _)| format!("{flag:?}")).collect::<Vec<_>>();
        if names.is_empty() { "-".into() } else { names.join(",").into() }
    }

    /// Whether any of `codes` is in it.
    pub(crate) fn contains_any(self, codes: &[String]) -> bool {
        ALL.iter().any(|(flag, code)| self.contains(*flag) && codes.iter().any(|wanted| wanted == code))
    }

    /// Whether Envoy has such a short code and spanway sets it.
    pub(crate) fn is_code(code: &str) -> bool {
        ALL.iter().any(|(_, known)| *known == code)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_are_written_in_envoys_order_whatever_order_they_came_in() {
        let flags = ResponseFlags::default()
            .with(ResponseFlag::UpstreamRetryLimitExceeded)
            .with(ResponseFlag::UpstreamConnectionFailure);
        assert_eq!(flags.text(), "URX,UF");
        assert_eq!(ResponseFlags::default().text(), "-");
        assert!(flags.contains_any(&["URX".into()]) && !flags.contains_any(&["NR".into()]));
        let flags = ResponseFlags::default()
            .with(ResponseFlag::UpstreamConnectionFailure)
            .with(ResponseFlag::UpstreamOverflow);
        assert_eq!(flags.text(), "UO,UF");
        assert_eq!(flags.long_text(), "UpstreamOverflow,UpstreamConnectionFailure");
    }
}

//! What expressions of access logs and formats read of a stream. Names and values are those of Envoy's attributes.

use std::{borrow::Cow, net::SocketAddr};

use super::{
    formatter::{FormatContext, Headers as Lines},
    grpc_status,
    observed::{Observed, UpstreamConnection},
    protocol_name,
};
use crate::snapshot::{
    Address,
    access_log::LogType,
    cel::{
        Environment, Headers,
        attribute::Attribute,
        request::{RequestView, joined},
        value::Value,
    },
    format::command::{Precision, TimePoint},
    metadata::Metadata,
};

impl<'a> FormatContext<'a> {
    fn view(&self) -> RequestView<'a> {
        RequestView {
            method: self.pseudo.method,
            path: self.pseudo.path,
            authority: self.pseudo.authority,
            scheme: self.pseudo.scheme,
            headers: self.request,
        }
    }

    fn of_request(&self, attribute: Attribute) -> Option<Value<'a>> {
        let (info, request) = (self.info, self.view());
        let named = |name| request.header(name).map(Value::Text);
        Some(match attribute {
            Attribute::RequestPath => text(request.path),
            Attribute::RequestUrlPath => text(request.url_path()),
            Attribute::RequestQuery => text(request.query()),
            Attribute::RequestHost => text(request.authority),
            Attribute::RequestMethod => text(request.method),
            Attribute::RequestScheme => text(request.scheme),
            Attribute::RequestReferer => return named("referer"),
            Attribute::RequestUserAgent => return named("user-agent"),
            Attribute::RequestId => return named("x-request-id"),
            Attribute::RequestProtocol => text(protocol_name(info.protocol)),
            Attribute::RequestSize => {
                let length = request.header("content-length").and_then(|length| length.parse().ok());
                length.map_or_else(|| int(info.bytes_received.get()), |length: u64| int(length))
            }
            Attribute::RequestTotalSize => {
                let kept = info.observed.as_ref()?.request.borrow();
                int(info.bytes_received.get() + kept.as_ref().map_or(0, |kept| kept.bytes))
            }
            // Of one that goes on it is not known.
            Attribute::RequestDuration if self.has_ended() => {
                Value::Duration(i64::try_from(info.duration().as_nanos()).ok()?)
            }
            _ => return None,
        })
    }

    fn has_ended(&self) -> bool {
        let observed = self.info.observed.as_ref();
        observed.is_some_and(|observed| observed.log_type.get() == LogType::End.name())
    }

    fn of_response(&self, attribute: Attribute, observed: &Observed) -> Option<Value<'a>> {
        let info = self.info;
        Some(match attribute {
            Attribute::ResponseCode => int(Some(info.status.get()).filter(|status| *status > 0)?.into()),
            Attribute::ResponseCodeDetails => text(Some(info.details.get()).filter(|text| !text.is_empty())?),
            Attribute::ResponseFlags => Value::Int(info.flags.get().bits().into()),
            Attribute::ResponseGrpcStatus => {
                let trailers = observed.trailers.borrow();
                int(grpc_status::of_response(trailers.as_ref(), self.response, info.status.get())?.into())
            }
            Attribute::ResponseSize => int(info.bytes_sent.get()),
            Attribute::ResponseTotalSize => {
                int(info.bytes_sent.get() + observed.response_bytes.get() + observed.trailers_bytes())
            }
            Attribute::ResponseBackendLatency => {
                return self.between(observed, (TimePoint::SendStart, TimePoint::ResponseStart));
            }
            _ => return None,
        })
    }

    fn of_upstream(&self, attribute: Attribute, observed: &Observed) -> Option<Value<'a>> {
        let info = self.info;
        let connection = observed.connection.borrow();
        let connection: Option<&UpstreamConnection> = connection.as_deref();
        let host = info.upstream_host.borrow();
        let remote = || connection.and_then(|connection| connection.remote);
        Some(match attribute {
            Attribute::UpstreamAddress => Value::Text(Cow::Owned(host.as_ref()?.to_string())),
            Attribute::UpstreamPort => port(remote().or_else(|| host.as_ref()?.parse().ok())?),
            Attribute::UpstreamLocalAddress => address(connection?.local?),
            Attribute::UpstreamTlsVersion => text(connection?.tls?.version),
            Attribute::UpstreamTransportFailureReason => {
                host.as_ref()?;
                // Formats have underscores in it.
                Value::Text(Cow::Owned(observed.transport_failure.get().replace('_', " ")))
            }
            Attribute::UpstreamRequestAttemptCount => int(info.attempts.get().into()),
            Attribute::UpstreamPoolReadyDuration => {
                return self.between(observed, (TimePoint::AttemptStart, TimePoint::PoolReady));
            }
            _ => return None,
        })
    }

    fn between(&self, observed: &Observed, moments: (TimePoint, TimePoint)) -> Option<Value<'a>> {
        let nanoseconds = observed.between(self.info, moments, Precision::Nanoseconds)?;
        i64::try_from(nanoseconds).ok().map(Value::Duration)
    }

    fn of_configuration(&self, attribute: Attribute, observed: &Observed) -> Option<Value<'a>> {
        let cluster = self.info.cluster.borrow();
        let owned = |text: &str| Value::Text(Cow::Owned(text.to_owned()));
        Some(match attribute {
            Attribute::VirtualHostName => owned(observed.virtual_host_name.borrow().as_deref()?),
            Attribute::RouteName if observed.has_route.get() => owned(&self.info.route_name.borrow()),
            Attribute::ClusterName => owned(&cluster.as_ref()?.name),
            Attribute::RouteMetadata => noted(&observed.route_metadata.borrow()),
            Attribute::VirtualHostMetadata => noted(&observed.virtual_host_metadata.borrow()),
            Attribute::UpstreamHostMetadata => noted(&observed.host_metadata.borrow()),
            Attribute::ClusterMetadata => noted(&cluster.as_ref()?.metadata),
            _ => return None,
        })
    }
}

impl<'a> Environment<'a> for FormatContext<'a> {
    fn attribute(&self, attribute: Attribute) -> Option<Value<'a>> {
        let connection = &self.info.connection;
        let own = match &connection.local {
            Address::Socket(local) => Some(*local),
            Address::Pipe(_) => None,
        };
        let tls = connection.tls.get();
        Some(match attribute {
            Attribute::SourceAddress => address(self.info.remote.get()?),
            Attribute::SourcePort => port(self.info.remote.get()?),
            Attribute::DestinationAddress => address(own?),
            Attribute::DestinationPort => port(own?),
            Attribute::ConnectionId => Value::Uint(connection.id),
            Attribute::ConnectionMtls => Value::Bool(tls.is_some_and(|tls| tls.mutual)),
            Attribute::ConnectionRequestedServerName => {
                text(connection.requested_server_name.get().map_or("", |name| name))
            }
            Attribute::ConnectionTlsVersion => text(tls?.version),
            attribute => {
                let of_request = self.of_request(attribute);
                let observed = self.info.observed.as_deref();
                return of_request
                    .or_else(|| self.of_response(attribute, observed?))
                    .or_else(|| self.of_upstream(attribute, observed?))
                    .or_else(|| self.of_configuration(attribute, observed?));
            }
        })
    }

    fn header(&self, of: Headers, name: &str) -> Option<Cow<'a, str>> {
        match of {
            Headers::Request => self.view().header(name),
            Headers::Response if name == ":status" => Some(self.info.status.get())
                .filter(|status| *status > 0)
                .map(|status| status.to_string().into()),
            Headers::Response => joined(self.response?, name),
            Headers::Trailers => {
                let trailers = self.info.observed.as_ref()?.trailers.borrow();
                joined(Lines::All(trailers.as_ref()?), name).map(|value| Cow::Owned(value.into_owned()))
            }
        }
    }

    fn header_count(&self, _: Headers) -> Option<i64> {
        // Only those are kept that are read.
        None
    }
}

fn text(text: &str) -> Value<'_> {
    Value::Text(Cow::Borrowed(text))
}

fn int(number: u64) -> Value<'static> {
    Value::Int(i64::try_from(number).unwrap_or(i64::MAX))
}

fn address(address: SocketAddr) -> Value<'static> {
    Value::Text(Cow::Owned(address.to_string()))
}

fn port(address: SocketAddr) -> Value<'static> {
    Value::Int(address.port().into())
}

fn noted(metadata: &Metadata) -> Value<'static> {
    metadata.as_deref().map_or(Value::Map(Vec::new()), Value::of_json)
}

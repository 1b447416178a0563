//! What happens to a request before it is routed, in words.

use http::{Version, header::HOST};

use super::{
    changes,
    report::ManagerReport,
    sampling::made_here,
    walk::{End, Walk},
};
use crate::{
    http_headers::X_REQUEST_ID,
    router::path_and_query,
    snapshot::{listener::CodecType, matcher::header_text},
};

/// What is told of it.
pub(super) fn report(walk: &Walk<'_>, twin: &Walk<'_>) -> ManagerReport {
    let mut steps = Vec::new();
    protocol(walk, &mut steps);
    match (&walk.admission, &walk.end) {
        (None, End::Reply(reply, _)) => steps.push(format!("it is refused here: {}", reply.details)),
        _ => {
            path(walk, &mut steps);
            client(walk, &mut steps);
        }
    }
    ManagerReport {
        stat_prefix: walk.manager.stat_prefix.to_string(),
        steps,
        changes: if walk.admission.is_some() {
            changes::between(&walk.arrived.headers, &walk.admitted.headers, Some(&twin.admitted.headers))
        } else {
            Vec::new()
        },
    }
}

fn protocol(walk: &Walk<'_>, steps: &mut Vec<String>) {
    let version = walk.arrived.version;
    let name = crate::stream_info::protocol_name(version);
    let speaks = match walk.manager.codec {
        CodecType::Auto => true,
        CodecType::Http1 => version != Version::HTTP_2,
        CodecType::Http2 => version == Version::HTTP_2,
    };
    steps.push(if speaks {
        name.to_owned()
    } else {
        format!(
            "{name}, which codec_type says that this listener does not speak: its connection would be closed"
        )
    });
    let bytes = walk.head_bytes();
    let most = walk.manager.limits.headers_bytes;
    if bytes > most {
        steps.push(format!("its head is {bytes} bytes, more than the {most} of max_request_headers_kb"));
    }
}

fn path(walk: &Walk<'_>, steps: &mut Vec<String>) {
    let (before, after) = (path_and_query(&walk.arrived.uri), path_and_query(&walk.admitted.uri));
    steps.push(if before == after {
        format!("path {before:?} stays as it is")
    } else {
        format!("path {before:?} is normalized to {after:?}")
    });
    let arrived = walk.arrived.uri.authority().map_or_else(
        || walk.arrived.headers.get(HOST).map_or("", header_text),
        |authority| authority.as_str(),
    );
    let authority = walk.admitted.headers.get(HOST).map_or("", header_text);
    steps.push(if arrived == authority {
        format!("authority {authority:?}")
    } else {
        format!("authority {arrived:?} becomes {authority:?}")
    });
}

fn client(walk: &Walk<'_>, steps: &mut Vec<String>) {
    let Some(admitted) = &walk.admission else { return };
    let client = &admitted.client;
    let peer = walk.info.connection.peer.map(|peer| peer.ip());
    let address = client.address.map(|address| address.ip());
    let whence = if address == peer { "the connection's peer" } else { "named by those in front" };
    let address = address.map_or("without an address".to_owned(), |address| address.to_string());
    let trust = match (client.internal, client.edge) {
        (true, _) => "internal",
        (false, true) => "external, at the edge",
        (false, false) => "external",
    };
    steps.push(format!("client {address}, {whence}: {trust}"));
    steps.push(format!(":scheme is {}", walk.scheme()));
    let id = walk.admitted.headers.get(X_REQUEST_ID).map(header_text);
    steps.push(match id {
        None => "no x-request-id, and none is made".to_owned(),
        Some(_) if made_here(walk) => "x-request-id is made here".to_owned(),
        Some(id) => format!("x-request-id {id} is kept"),
    });
    if let Some(upgrade) = &admitted.upgrade {
        steps.push(format!("it asks for an upgrade to {upgrade}"));
    }
    if walk.grpc {
        steps.push("it is gRPC".to_owned());
    }
}

//! `/listeners`: where the process listens.

use std::fmt::Write;

use axum::response::Response;
use serde::Serialize;

use super::{address::AddressJson, answer, command::Asked, subject::ListenerStatus};

/// `envoy.admin.v3.Listeners`
#[derive(Debug, Serialize)]
struct Listeners<'a> {
    listener_statuses: Vec<Status<'a>>,
}

/// `envoy.admin.v3.ListenerStatus`
#[derive(Debug, Serialize)]
struct Status<'a> {
    name: &'a str,
    local_address: AddressJson<'a>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    additional_local_addresses: Vec<AddressJson<'a>>,
}

/// `/listeners`
pub(super) fn page(asked: &Asked) -> Response {
    let listeners = &asked.subject.listeners;
    match asked.value("format").as_deref() {
        Some("json") => answer::json(&Listeners { listener_statuses: statuses(listeners) }),
        // As in Envoy whatever else.
        _ => answer::text(lines(listeners)),
    }
}

fn lines(listeners: &[ListenerStatus]) -> String {
    let mut text = String::new();
    for ListenerStatus { name, address } in listeners {
        // Writing to a text does not fail.
        let _ = writeln!(text, "{name}::{address}");
    }
    text
}

/// One for each name: additional addresses are listeners of their own here.
fn statuses(listeners: &[ListenerStatus]) -> Vec<Status<'_>> {
    let mut statuses: Vec<Status<'_>> = Vec::new();
    for ListenerStatus { name, address } in listeners {
        let address = AddressJson::from(address);
        match statuses.last_mut().filter(|last| last.name == &**name) {
            Some(last) => last.additional_local_addresses.push(address),
            None => {
                statuses.push(Status { name, local_address: address, additional_local_addresses: Vec::new() })
            }
        }
    }
    statuses
}

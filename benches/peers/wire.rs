//! The little of protobuf that a collector needs: to count spans, and to say which of them it did not take.

/// The next varint, and what follows it.
fn varint(mut bytes: &[u8]) -> Option<(u64, &[u8])> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let (first, rest) = bytes.split_first()?;
        value |= u64::from(first & 0x7f) << shift;
        bytes = rest;
        if first & 0x80 == 0 {
            return Some((value, bytes));
        }
    }
    None
}

/// The fields of a message that have a length, called `number`.
fn fields(mut bytes: &[u8], number: u64) -> Vec<&[u8]> {
    let mut found = Vec::new();
    while let Some((tag, rest)) = varint(bytes) {
        let skipped = match tag & 7 {
            0 => varint(rest).map(|(_, rest)| rest),
            1 => rest.get(8..),
            5 => rest.get(4..),
            2 => varint(rest).and_then(|(length, rest)| {
                let (field, rest) = rest.split_at_checked(usize::try_from(length).ok()?)?;
                if tag >> 3 == number {
                    found.push(field);
                }
                Some(rest)
            }),
            _ => None,
        };
        let Some(rest) = skipped else { break };
        bytes = rest;
    }
    found
}

/// The spans in an ExportTraceServiceRequest: resource_spans, scope_spans, spans.
pub(crate) fn spans(request: &[u8]) -> usize {
    let resources = fields(request, 1);
    let scopes = resources.into_iter().flat_map(|resource| fields(resource, 2));
    scopes.map(|scope| fields(scope, 2).len()).sum()
}

/// A number as a varint.
fn write_varint(mut value: usize, to: &mut Vec<u8>) {
    while value > 0x7f {
        to.push((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    to.push(value as u8);
}

/// A field that has a length.
fn field(number: u8, content: &[u8]) -> Vec<u8> {
    let mut written = vec![number << 3 | 2];
    write_varint(content.len(), &mut written);
    written.extend_from_slice(content);
    written
}

/// An ExportTraceServiceResponse with partial_success: how many spans were not taken, and why.
pub(crate) fn partial_success(rejected: usize, reason: &[u8]) -> Vec<u8> {
    let mut partial = vec![1 << 3];
    write_varint(rejected, &mut partial);
    partial.extend_from_slice(&field(2, reason));
    field(1, &partial)
}

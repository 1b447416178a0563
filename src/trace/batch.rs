//! Finished spans on their way from a worker to the exporter.

use super::{
    FinishedSpan, Subject,
    otlp::{EncodedSpans, SpanEncoder},
};

/// Some spans of one tracer. Only one of the two is filled, always the same for one tracer.
#[derive(Debug, Default)]
pub(crate) struct Batch {
    /// Those of tracers that write spans when they send them.
    pub(crate) records: Vec<FinishedSpan>,
    /// Those that were written when they ended.
    pub(crate) encoded: EncodedSpans,
    /// What the records take, about.
    record_bytes: usize,
}

impl Batch {
    /// Of one span, written by `encoder` if there is one.
    pub(crate) fn of(span: FinishedSpan, encoder: Option<SpanEncoder>) -> Self {
        let mut batch = Self::default();
        match encoder {
            Some(mut encoder) => encoder.encode(&span, &mut batch.encoded),
            None => batch.push_record(span),
        }
        batch
    }

    /// How many spans.
    pub(crate) fn len(&self) -> usize {
        self.records.len() + self.encoded.len()
    }

    /// The memory that they take; of records an estimate.
    pub(crate) fn bytes(&self) -> usize {
        self.record_bytes + self.encoded.memory()
    }

    /// Add a span that is written later.
    pub(super) fn push_record(&mut self, span: FinishedSpan) {
        self.record_bytes += record_bytes(&span);
        self.records.push(span);
    }

    /// Add `others`.
    pub(crate) fn append(&mut self, others: Self) {
        self.records.extend(others.records);
        self.record_bytes += others.record_bytes;
        self.encoded.append(&others.encoded);
    }

    /// Let go of the `count` oldest spans.
    pub(crate) fn drop_oldest(&mut self, count: usize) {
        let dropped = self.records.drain(..count.min(self.records.len()));
        self.record_bytes -= dropped.map(|span| record_bytes(&span)).sum::<usize>();
        self.encoded.drop_oldest(count);
    }

    /// Take the `count` oldest spans out.
    pub(crate) fn split_oldest(&mut self, count: usize) -> Self {
        let records: Vec<_> = self.records.drain(..count.min(self.records.len())).collect();
        let record_bytes = records.iter().map(record_bytes).sum();
        self.record_bytes -= record_bytes;
        let encoded = self.encoded.split_oldest(count);
        Self { records, encoded, record_bytes }
    }

    /// How many of the oldest spans take at least so many bytes.
    pub(crate) fn oldest_of(&self, bytes: usize) -> usize {
        if self.records.is_empty() {
            return self.encoded.oldest_of(bytes);
        }
        let mut sum = 0;
        let enough = self.records.iter().position(|span| {
            sum += record_bytes(span);
            sum >= bytes
        });
        enough.map_or(self.records.len(), |index| index + 1)
    }

    /// Take what is there, and leave room for as much.
    pub(super) fn take(&mut self) -> Self {
        let room = Self {
            records: Vec::with_capacity(self.records.len()),
            encoded: EncodedSpans::with_room_for(&self.encoded),
            record_bytes: 0,
        };
        std::mem::replace(self, room)
    }
}

/// What a record takes in memory, about: what its length depends on is counted, small boxes are not.
fn record_bytes(span: &FinishedSpan) -> usize {
    let request = match &span.subject {
        Subject::Stream { record, .. } => {
            size_of_val(&**record)
                + record.request.url.len()
                + record.request.user_agent.as_ref().map_or(0, http::HeaderValue::len)
        }
        Subject::Attempt(_) => 0,
    };
    let tags: usize = span.custom_tags.iter().map(|(_, value)| value.len() + size_of_val(value) + 16).sum();
    size_of::<FinishedSpan>() + request + tags + size_of_val(span.events.as_slice())
}

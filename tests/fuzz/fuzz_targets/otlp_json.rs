//! Whatever is posted as OTLP JSON is read or refused, and what is read can be searched, shown and written again.

#![no_main]

libfuzzer_sys::fuzz_target!(|body: &[u8]| spanway::collector::read_otlp_json(body));

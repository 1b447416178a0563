//! What came for a trace and was not filed, and the words for it.

/// How much of a trace is not there, although it came.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PassedOver {
    /// Spans that were refused, because the trace alone would have filled too much of the store.
    pub spans: u64,
    /// Log records that were refused for the same reason.
    pub logs: u64,
    /// Spans whose id a span of another service has already, as with Zipkin's shared ids. One that is sent again counts
    /// again.
    pub twins: u64,
}

impl PassedOver {
    /// A sentence for each reason.
    pub fn sentences(&self) -> Vec<String> {
        let count = |count: u64, noun: &str| match count {
            0 => None,
            1 => Some(format!("1 {noun}")),
            _ => Some(format!("{count} {noun}s")),
        };
        let were = |count: u64| if count == 1 { "was" } else { "were" };
        let refused: Vec<_> =
            [count(self.spans, "span"), count(self.logs, "log record")].into_iter().flatten().collect();
        let mut sentences = Vec::new();
        if !refused.is_empty() {
            sentences.push(format!(
                "{} of this trace {} refused: it is larger than a quarter of the store (--store-bytes)",
                refused.join(" and "),
                were(self.spans + self.logs),
            ));
        }
        if let Some(twins) = count(self.twins, "span") {
            sentences.push(format!(
                "{twins} of this trace {} passed over: a span of another service had the same id already",
                were(self.twins),
            ));
        }
        sentences
    }

    /// The same in a few words, for a line of a list; empty if all is there.
    pub fn summary(&self) -> String {
        match self.spans + self.twins {
            0 => String::new(),
            1 => "1 span missing".to_owned(),
            spans => format!("{spans} spans missing"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_is_said_with_its_reason() {
        assert_eq!(PassedOver::default().sentences(), [""; 0]);
        let some = PassedOver { spans: 123, logs: 1, twins: 1 };
        assert_eq!(
            some.sentences(),
            [
                "123 spans and 1 log record of this trace were refused: it is larger than a quarter of the store \
                 (--store-bytes)",
                "1 span of this trace was passed over: a span of another service had the same id already",
            ]
        );
        assert_eq!(
            (some.summary(), PassedOver::default().summary()),
            ("124 spans missing".to_owned(), String::new())
        );
    }
}

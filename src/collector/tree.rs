//! The order in which the spans of a trace are read: parents above their children, earliest first.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use super::span::{Span, SpanId};

/// One line of a trace.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Row<'a> {
    /// How many lines up to the root: zero for the root itself.
    pub depth: usize,
    /// What stands in the line.
    pub node: Node<'a>,
}

/// What may stand in a line.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Node<'a> {
    /// A span that was received.
    Span(&'a Span),
    /// A span that others call their parent and that did not come, or not yet.
    MissingParent(SpanId),
}

/// The lines of a trace. Each of `spans` stands in exactly one, even if they call each other their parents.
pub fn rows<'a>(spans: impl IntoIterator<Item = &'a Arc<Span>>) -> Vec<Row<'a>> {
    let mut walk = Walk::new(spans);
    for root in walk.roots() {
        walk.down_from(root);
    }
    // What is left hangs in circles of parents, or below: cut each at its earliest span.
    let left: Vec<&Span> =
        walk.by_start.iter().copied().filter(|span| !walk.placed.contains(&span.span_id)).collect();
    let circles = circles(left.iter().copied());
    for span in left.into_iter().filter(|span| circles.contains(&span.span_id)) {
        walk.down_from(Node::Span(span));
    }
    walk.rows
}

/// Those of `spans` that are ancestors of themselves.
pub fn circles<'a>(spans: impl IntoIterator<Item = &'a Span>) -> BTreeSet<SpanId> {
    let parent = |span: &Span| Some((span.span_id, span.parent_span_id?));
    let parents: BTreeMap<SpanId, SpanId> = spans.into_iter().filter_map(parent).collect();
    let (mut circles, mut done) = (BTreeSet::new(), BTreeSet::new());
    for start in parents.keys() {
        let (mut way, mut passed) = (Vec::new(), BTreeSet::new());
        let mut at = *start;
        // Up, until there is no parent, or one that was seen.
        while !done.contains(&at) && passed.insert(at) {
            way.push(at);
            match parents.get(&at) {
                Some(parent) => at = *parent,
                None => break,
            }
        }
        if !done.contains(&at) && parents.contains_key(&at) {
            circles.extend(way.iter().skip_while(|id| **id != at));
        }
        done.extend(way);
    }
    circles
}

struct Walk<'a> {
    by_start: Vec<&'a Span>,
    /// Of a span, received or missing: its children, earliest first.
    children: BTreeMap<SpanId, Vec<&'a Span>>,
    placed: BTreeSet<SpanId>,
    rows: Vec<Row<'a>>,
}

impl<'a> Walk<'a> {
    fn new(spans: impl IntoIterator<Item = &'a Arc<Span>>) -> Self {
        let mut by_start: Vec<&Span> = spans.into_iter().map(Arc::as_ref).collect();
        // A parent often starts in the same clock tick as its child; the longer one goes first.
        by_start.sort_by_key(|span| (span.start_unix_nano, u64::MAX - span.duration_nano(), span.span_id));
        let mut children: BTreeMap<SpanId, Vec<&Span>> = BTreeMap::new();
        for span in &by_start {
            if let Some(parent) = span.parent_span_id {
                children.entry(parent).or_default().push(span);
            }
        }
        Self { by_start, children, placed: BTreeSet::new(), rows: Vec::new() }
    }

    /// Spans without a parent, and the missing parents of the others: earliest first.
    fn roots(&self) -> Vec<Node<'a>> {
        let received: BTreeSet<SpanId> = self.by_start.iter().map(|span| span.span_id).collect();
        let mut missing = BTreeSet::new();
        self.by_start
            .iter()
            .filter_map(|&span| match span.parent_span_id {
                None => Some(Node::Span(span)),
                Some(parent) if received.contains(&parent) => None,
                Some(parent) => missing.insert(parent).then_some(Node::MissingParent(parent)),
            })
            .collect()
    }

    /// Place `root` and all that hangs below it. A list instead of recursion: a trace may be a very long chain.
    fn down_from(&mut self, root: Node<'a>) {
        let mut ahead = vec![Row { depth: 0, node: root }];
        while let Some(row) = ahead.pop() {
            let id = match row.node {
                Node::Span(span) => span.span_id,
                Node::MissingParent(id) => id,
            };
            if !self.placed.insert(id) {
                continue;
            }
            self.rows.push(row);
            let children = self.children.get(&id).into_iter().flatten().rev();
            ahead.extend(children.map(|&child| Row { depth: row.depth + 1, node: Node::Span(child) }));
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{super::span::tests::span, *};

    /// The tree as text: `2` at depth 1 is `.2`, a missing 2 is `?2`.
    fn drawn(spans: &[(u64, u64)]) -> String {
        let spans: Vec<_> = spans.iter().map(|&(id, parent)| Arc::new(span(1, id, parent))).collect();
        let line = |row: Row<'_>| {
            let digits = |id: SpanId| id.to_string().trim_start_matches('0').to_owned();
            let text = match row.node {
                Node::Span(span) => digits(span.span_id),
                Node::MissingParent(id) => format!("?{}", digits(id)),
            };
            ".".repeat(row.depth) + &text
        };
        rows(&spans).into_iter().map(line).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn parents_stand_above_their_children_and_the_earliest_first() {
        assert_eq!(drawn(&[(4, 2), (3, 1), (1, 0), (2, 1)]), "1 .2 ..4 .3");
    }

    #[test]
    fn a_missing_parent_is_shown_once_above_all_its_children() {
        assert_eq!(drawn(&[(2, 9), (3, 9), (4, 0)]), "?9 .2 .3 4");
    }

    #[test]
    fn spans_that_are_their_own_ancestors_are_shown() {
        assert_eq!(drawn(&[(1, 2), (2, 1), (3, 3), (4, 0)]), "4 1 .2 3");
        assert_eq!(drawn(&[(1, 2), (2, 3), (3, 2)]), "2 .1 .3", "what hangs below a circle stands there");
    }

    #[test]
    fn a_very_long_chain_does_not_overflow_the_stack() {
        let chain: Vec<_> = (1..50_000).map(|id| Arc::new(span(1, id, id - 1))).collect();
        assert_eq!(rows(&chain).last().unwrap().depth, 49_998);
    }

    proptest! {
        #[test]
        fn every_span_stands_in_exactly_one_line(
            parents in prop::collection::btree_map(1_u64..30, 0_u64..40, 0..30),
        ) {
            let spans: Vec<_> = parents.iter().map(|(&id, &parent)| Arc::new(span(1, id, parent))).collect();
            let mut shown: Vec<_> = rows(&spans)
                .iter()
                .filter_map(|row| match row.node {
                    Node::Span(span) => Some(span.span_id),
                    Node::MissingParent(_) => None,
                })
                .collect();
            shown.sort();
            prop_assert_eq!(shown, spans.iter().map(|span| span.span_id).collect::<Vec<_>>());
        }
    }
}

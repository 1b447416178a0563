//! How wide the columns of a tree are.

/// The columns of a bar that is as long as the trace, and the fewest.
const BAR: (usize, usize) = (30, 10);
/// The columns of a name with its branches: the most, and the fewest in a narrow terminal.
const NAME: (usize, usize) = (48, 16);
/// The columns of a service, likewise.
const SERVICE: (usize, usize) = (20, 8);
/// The columns of a kind, the longest of which is UNSPECIFIED.
pub(super) const KIND: usize = 11;
/// The spaces between the columns, the duration, and the ends of the bar.
const FIXED: usize = 2 + 2 + 8 + 2 + 2;

/// The columns of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Layout {
    pub(super) name: usize,
    pub(super) has_kind: bool,
    pub(super) service: usize,
    pub(super) bar: usize,
}

impl Layout {
    /// For names and services of such lengths, in a terminal of `width` columns: first the bar shrinks, then the kind goes,
    /// then services and names are cut.
    pub(super) fn of(name: usize, service: usize, width: Option<usize>) -> Self {
        let whole =
            Self { name: name.min(NAME.0), has_kind: true, service: service.min(SERVICE.0), bar: BAR.0 };
        let Some(width) = width else { return whole };
        let with_kind = whole.with_smaller_bar(width);
        if with_kind.width() <= width {
            return with_kind;
        }
        let mut layout = Self { has_kind: false, ..whole }.with_smaller_bar(width);
        layout.service = shrunk(layout.service, SERVICE.1, layout.width().saturating_sub(width));
        layout.name = shrunk(layout.name, NAME.1, layout.width().saturating_sub(width));
        layout
    }

    /// How wide a line is.
    pub(super) fn width(self) -> usize {
        let kind = if self.has_kind { KIND + 2 } else { 0 };
        self.name + kind + self.service + self.bar + FIXED
    }

    fn with_smaller_bar(self, width: usize) -> Self {
        Self { bar: shrunk(self.bar, BAR.1, self.width().saturating_sub(width)), ..self }
    }
}

/// `size` without `excess`, but not below `least`.
fn shrunk(size: usize, least: usize, excess: usize) -> usize {
    size.saturating_sub(excess).max(least.min(size))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_as_wide_as_the_terminal_allows() {
        let whole = Layout::of(100, 100, None);
        assert_eq!((whole.name, whole.has_kind, whole.service, whole.bar), (48, true, 20, 30));
        assert_eq!(Layout::of(100, 100, Some(whole.width())), whole);
        for width in 50..whole.width() {
            let layout = Layout::of(100, 100, Some(width));
            assert!(layout.width() <= width && layout.bar >= 10, "{width}: {layout:?}");
        }
        assert!(Layout::of(10, 8, Some(60)).has_kind, "short names leave room");
    }
}

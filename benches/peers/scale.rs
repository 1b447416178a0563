//! Where values stand on an axis, and which of them are worth a line.

/// The most lines that the ends of an axis are chosen for.
const LINES: u32 = 5;

/// An axis.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Scale {
    /// The values at its ends; their logarithms on a logarithmic one.
    values: (f64, f64),
    /// Where its ends are drawn.
    places: (f64, f64),
    /// The logarithms of values are what is drawn.
    logarithmic: bool,
}

/// The least and the most of them, of those that are there.
fn extremes(values: impl Iterator<Item = f64>) -> Option<(f64, f64)> {
    let values = values.filter(|value| value.is_finite());
    values.map(|value| (value, value)).reduce(|(least, most), (value, _)| (least.min(value), most.max(value)))
}

/// A step of 1, 2 or 5 times a power of ten that makes at most so many lines of `range`.
fn step(range: f64, lines: u32) -> f64 {
    let least = (range / f64::from(lines)).max(f64::MIN_POSITIVE);
    let power = 10_f64.powf(least.log10().floor());
    [1.0, 2.0, 5.0, 10.0].map(|digit| digit * power).into_iter().find(|step| *step >= least).unwrap_or(least)
}

impl Scale {
    /// From one value to another, as it is.
    pub(crate) fn exact(values: (f64, f64), places: (f64, f64)) -> Self {
        Self { values, places, logarithmic: false }
    }

    /// From and to multiples of its step, all of `values` between.
    pub(crate) fn linear(values: impl Iterator<Item = f64>, places: (f64, f64)) -> Self {
        let (least, most) = extremes(values).filter(|(least, most)| least < most).unwrap_or((0.0, 1.0));
        let step = step(most - least, LINES);
        Self::exact(((least / step).floor() * step, (most / step).ceil() * step), places)
    }

    /// From and to powers of ten, all of `values` between.
    pub(crate) fn logarithmic(values: impl Iterator<Item = f64>, places: (f64, f64)) -> Self {
        let (least, most) = extremes(values.filter(|value| *value > 0.0)).unwrap_or((1.0, 10.0));
        let (least, most) = (least.log10().floor(), most.log10().ceil());
        Self { values: (least, most.max(least + 1.0)), places, logarithmic: true }
    }

    /// Where a value is drawn; what is out of the axis at its end.
    pub(crate) fn at(&self, value: f64) -> f64 {
        let value = if self.logarithmic { value.max(f64::MIN_POSITIVE).log10() } else { value };
        let ((least, most), (begin, end)) = (self.values, self.places);
        begin + (value.clamp(least, most) - least) / (most - least) * (end - begin)
    }

    /// Values that are worth a line, not many more than so many.
    pub(crate) fn ticks(&self, lines: u32) -> Vec<f64> {
        let (least, most) = self.values;
        let step = if self.logarithmic { 1.0 } else { step(most - least, lines) };
        let count = ((most - least) / step + 1e-9).floor() as u32;
        let along = (0..=count).map(|number| least + f64::from(number) * step);
        along.map(|value| if self.logarithmic { 10_f64.powf(value) } else { value }).collect()
    }
}

/// A number without digits that say nothing: 12000 as "12k", 0.1 as it is.
pub(crate) fn tidy(value: f64) -> String {
    if value >= 10_000.0 {
        return format!("{}k", (value / 100.0).round() / 10.0);
    }
    format!("{}", (value * 1000.0).round() / 1000.0)
}

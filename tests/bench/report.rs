//! The table: one row per thing measured, with what was promised beside it and whether it holds. Filled by the
//! measuring modules, printed by `main.rs`.

use std::fmt::Write;
use std::time::Duration;

/// One line of the table.
pub(crate) struct Row {
    /// What was measured, with all that qualifies it.
    what: String,
    unit: Unit,
    values: Vec<f64>,
    promise: Option<Promise>,
    /// Why there are no values.
    failure: Option<String>,
}

/// What the values are; they are printed in it.
#[derive(Clone, Copy)]
pub(crate) enum Unit {
    Seconds,
    Milliseconds,
    Count,
    Ratio,
    Percent,
    CpuSecondsPerHour,
    Megabytes,
}

impl Unit {
    fn show(self, value: f64) -> String {
        match self {
            Unit::Seconds => format!("{value:.2} s"),
            Unit::Milliseconds => format!("{value:.1} ms"),
            Unit::Count if value.fract() == 0.0 => format!("{value:.0}"),
            Unit::Count => format!("{value:.1}"),
            Unit::Ratio => format!("{value:.2}"),
            Unit::Percent => format!("{value:.2} %"),
            Unit::CpuSecondsPerHour => format!("{value:.2} s/h"),
            Unit::Megabytes => format!("{value:.2} MB"),
        }
    }
}

/// An upper limit, and for what of the values it was promised.
#[derive(Clone, Copy)]
enum Promise {
    Median(f64),
    Mean(f64),
    Most(f64),
}

impl Row {
    /// A row of values in `unit`.
    pub(crate) fn new(what: impl Into<String>, unit: Unit, values: Vec<f64>) -> Row {
        Row { what: what.into(), unit, values, promise: None, failure: None }
    }

    /// A row of durations; `unit` is one of time.
    pub(crate) fn of_durations(what: impl Into<String>, unit: Unit, durations: &[Duration]) -> Row {
        let factor = if matches!(unit, Unit::Milliseconds) { 1000.0 } else { 1.0 };
        Row::new(what, unit, durations.iter().map(|duration| duration.as_secs_f64() * factor).collect())
    }

    /// A row of something that could not be measured.
    pub(crate) fn failed(what: impl Into<String>, why: impl ToString) -> Row {
        Row { failure: Some(why.to_string()), ..Row::new(what, Unit::Count, Vec::new()) }
    }

    /// The median was promised to be at most this.
    pub(crate) fn median_at_most(self, limit: f64) -> Row {
        Row { promise: Some(Promise::Median(limit)), ..self }
    }

    /// The mean was.
    pub(crate) fn mean_at_most(self, limit: f64) -> Row {
        Row { promise: Some(Promise::Mean(limit)), ..self }
    }

    /// Every single value was.
    pub(crate) fn each_at_most(self, limit: f64) -> Row {
        Row { promise: Some(Promise::Most(limit)), ..self }
    }

    /// False if something could not be measured.
    pub(crate) fn is_measured(&self) -> bool {
        self.failure.is_none() && !self.values.is_empty()
    }

    /// n, median, min, max, promise, mark.
    fn cells(&self) -> [String; 6] {
        let mut sorted = self.values.clone();
        sorted.sort_by(f64::total_cmp);
        let at = |index: usize| sorted.get(index).copied().unwrap_or(f64::NAN);
        let middle = sorted.len() / 2;
        let median = if sorted.len().is_multiple_of(2) {
            f64::midpoint(at(middle.wrapping_sub(1)), at(middle))
        } else {
            at(middle)
        };
        let most = at(sorted.len().wrapping_sub(1));
        let mean = sorted.iter().sum::<f64>() / sorted.len() as f64;
        let show = |value| self.unit.show(value);
        let (promise, holds) = match self.promise {
            None => (String::new(), None),
            Some(Promise::Median(limit)) => (format!("median <= {}", show(limit)), Some(median <= limit)),
            Some(Promise::Mean(limit)) => (format!("mean <= {}", show(limit)), Some(mean <= limit)),
            Some(Promise::Most(limit)) => (format!("<= {}", show(limit)), Some(most <= limit)),
        };
        let mark = holds.map_or("", |holds| if holds { "holds" } else { "MISSED" });
        [sorted.len().to_string(), show(median), show(at(0)), show(most), promise, mark.to_owned()]
    }
}

/// The whole table as text.
pub(crate) fn table(rows: &[Row]) -> String {
    let width = rows.iter().map(|row| row.what.chars().count()).max().unwrap_or(0);
    let mut text = format!("{:width$} ", "");
    let line = |text: &mut String, [n, median, least, most, promise, mark]: [&str; 6]| {
        let _ = write!(text, " {n:>3} {median:>10} {least:>10} {most:>10}   {promise:<18} {mark}");
        text.truncate(text.trim_end().len());
        text.push('\n');
    };
    line(&mut text, ["n", "median", "min", "max", "promise", ""]);
    for row in rows {
        let _ = write!(text, "{:width$} ", row.what);
        if row.is_measured() {
            let cells = row.cells();
            line(&mut text, cells.each_ref().map(String::as_str));
        } else {
            let why = row.failure.as_deref().unwrap_or("no values");
            let _ = writeln!(text, " could not be measured: {why}");
        }
    }
    text
}

//! Words and lines for people at a terminal: numbers, durations, widths, wrapping, what a mistyped word may mean.
//!
//! Used by `table`, by the command line and for sentences. Decimals are made of whole numbers: what the standard library has for floating
//! point numbers is 10 kB.

use std::time::Duration;

/// A duration in its two largest units: `45s`, `2m 5s`, `3d 4h`.
pub fn duration(seconds: u64) -> String {
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
    let two = |large: u64, name: char, small: u64, small_name: char| match small {
        0 => format!("{large}{name}"),
        _ => format!("{large}{name} {small}{small_name}"),
    };
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds}s"),
        (0, 0, _) => two(minutes, 'm', seconds % 60, 's'),
        (0, _, _) => two(hours, 'h', minutes % 60, 'm'),
        _ => two(days, 'd', hours % 24, 'h'),
    }
}

/// Seconds with one decimal: `0.6`.
pub fn tenths(duration: Duration) -> String {
    one_decimal(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX).saturating_add(50) / 100)
}

/// The same of milliseconds.
pub fn tenths_of_millis(duration: Duration) -> String {
    one_decimal(u64::try_from(duration.as_micros()).unwrap_or(u64::MAX).saturating_add(50) / 100)
}

fn one_decimal(tenths: u64) -> String {
    format!("{}.{}", tenths / 10, tenths % 10)
}

/// A latency: `0.4 ms`, `12 ms`, `2.5 s`.
pub fn latency(milliseconds: f64) -> String {
    match milliseconds {
        ms if !ms.is_finite() || ms < 0.0 => "-".to_owned(),
        ms if ms < 9.95 => format!("{} ms", one_decimal(whole(ms * 10.0))),
        ms if ms < 999.5 => format!("{} ms", whole(ms)),
        ms => format!("{} s", one_decimal(whole((ms / 100.0).min(99_990.0)))),
    }
}

/// A share: `0%`, `0.4%`, `42%`. Never 0% for a little or 100% for not quite all.
pub fn percent(share: f64) -> String {
    match share {
        share if !share.is_finite() || share < 0.0 => "-".to_owned(),
        share if share > 0.0 && share < 0.05 => "<.1%".to_owned(),
        share if share > 99.0 && share < 100.0 => "99%".to_owned(),
        share if share > 0.0 && share < 9.95 && share.fract() != 0.0 => {
            format!("{}%", one_decimal(whole(share * 10.0)))
        }
        share => format!("{}%", whole(share.min(100.0))),
    }
}

/// What a part is of the whole: `75%`.
pub fn share(part: u32, whole: u32) -> String {
    percent(f64::from(part) * 100.0 / f64::from(whole))
}

/// The nearest whole number.
fn whole(number: f64) -> u64 {
    number.round() as u64
}

/// Columns that a text takes on a terminal. Rough where only a table of all of Unicode would be exact.
pub fn width(text: &str) -> usize {
    text.chars().map(char_width).sum()
}

fn char_width(char: char) -> usize {
    match u32::from(char) {
        // Combining marks, zero-width characters and variation selectors.
        0x300..=0x36f | 0x200b..=0x200f | 0x20d0..=0x20ff | 0xfe00..=0xfe0f => 0,
        // East Asian wide characters and emoji.
        0x1100..=0x115f | 0x2e80..=0xa4cf | 0xac00..=0xd7a3 | 0xf900..=0xfaff | 0xfe30..=0xfe6f | 0xff00..=0xff60 => 2,
        0x1f300..=0x1faff | 0x20000..=0x3fffd => 2,
        _ => 1,
    }
}

/// The text on one line and without characters that could command the terminal.
pub fn plain(text: &str) -> String {
    text.chars().map(|char| if char.is_control() || is_bidi(char) { ' ' } else { char }).collect()
}

/// Characters that turn the direction of what follows.
fn is_bidi(char: char) -> bool {
    matches!(char, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// The text cut to `columns`, with an ellipsis if something is missing.
pub fn shorten(text: &str, columns: usize) -> String {
    if width(text) <= columns {
        return text.to_owned();
    }
    let mut short = take(text, columns.saturating_sub(1)).to_owned();
    if columns > 0 {
        short.push('…');
    }
    short
}

/// The text cut to `columns` in its middle: of names, the end often tells more than the middle.
pub fn shorten_middle(text: &str, columns: usize) -> String {
    let tail = columns / 3;
    if width(text) <= columns || tail == 0 {
        return shorten(text, columns);
    }
    let end = text.char_indices().map(|(at, _)| text.get(at..).unwrap_or_default()).find(|end| width(end) <= tail);
    format!("{}…{}", take(text, columns - 1 - tail), end.unwrap_or_default())
}

/// As much of the beginning as fits into `columns`.
fn take(text: &str, columns: usize) -> &str {
    let mut used = 0;
    for (at, char) in text.char_indices() {
        used += char_width(char);
        if used > columns {
            return text.get(..at).unwrap_or_default();
        }
    }
    text
}

/// The text in lines of at most `columns`, all but the first indented; words too long for a line are broken.
pub fn wrap(text: &str, columns: usize, indent: usize) -> String {
    let indent = indent.min(columns / 2);
    let mut lines = String::new();
    let mut used = 0;
    let mut begun = false;
    for word in text.split_whitespace() {
        let mut word = word;
        if begun && used + 1 + width(word) <= columns {
            lines.push(' ');
            used += 1;
        } else if begun {
            lines.push('\n');
            lines.push_str(&" ".repeat(indent));
            used = indent;
        }
        begun = true;
        while used + width(word) > columns {
            let part = take(word, columns.saturating_sub(used));
            if part.is_empty() {
                break;
            }
            lines.push_str(part);
            lines.push('\n');
            lines.push_str(&" ".repeat(indent));
            used = indent;
            word = word.get(part.len()..).unwrap_or_default();
        }
        lines.push_str(word);
        used += width(word);
    }
    lines
}

/// The candidate that a person most likely meant, if one is near enough.
pub fn nearest<'a>(typed: &str, candidates: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let length = typed.chars().count();
    // One slip per three letters, two at most, is a typing error; more is another word.
    let bound = (length / 3).min(2);
    if length > 40 {
        return None;
    }
    candidates
        // Each letter more or less is a slip.
        .filter(|candidate| candidate.chars().count().abs_diff(length) <= bound)
        .map(|candidate| (distance(typed, candidate), candidate))
        .filter(|(distance, _)| *distance <= bound)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// Letters to insert, delete, replace, or swap with the next.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut before: Vec<usize> = Vec::new();
    let mut above: Vec<usize> = (0..=b.len()).collect();
    let mut last = None;
    for (row, from) in a.chars().enumerate() {
        let mut line = vec![row + 1];
        for (column, &to) in b.iter().enumerate() {
            let at = |line: &[usize], index: usize| line.get(index).copied().unwrap_or(usize::MAX / 2);
            let mut best = (at(&above, column) + usize::from(from != to))
                .min(at(&above, column + 1) + 1)
                .min(at(&line, column) + 1);
            let swapped = column.checked_sub(1).filter(|&left| b.get(left) == Some(&from) && last == Some(to));
            if let Some(left) = swapped {
                best = best.min(at(&before, left) + 1);
            }
            line.push(best);
        }
        before = std::mem::replace(&mut above, line);
        last = Some(from);
    }
    above.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn durations_latencies_and_shares_are_short() {
        for (seconds, text) in [
            (0, "0s"),
            (59, "59s"),
            (60, "1m"),
            (125, "2m 5s"),
            (3600, "1h"),
            (3661, "1h 1m"),
            (273_600, "3d 4h"),
            (86_400 * 400, "400d"),
            (u64::MAX, "213503982334601d 7h"),
        ] {
            assert_eq!(duration(seconds), text);
        }
        for (milliseconds, text) in [
            (0.0, "0.0 ms"),
            (0.44, "0.4 ms"),
            (9.96, "10 ms"),
            (12.4, "12 ms"),
            (999.6, "1.0 s"),
            (2500.0, "2.5 s"),
            (f64::NAN, "-"),
            (f64::MAX, "9999.0 s"),
        ] {
            assert_eq!(latency(milliseconds), text);
        }
        for (share, text) in [
            (0.0, "0%"),
            (0.01, "<.1%"),
            (0.4, "0.4%"),
            (2.0, "2%"),
            (42.4, "42%"),
            (99.6, "99%"),
            (100.0, "100%"),
            (f64::NAN, "-"),
        ] {
            assert_eq!(percent(share), text);
        }
        for (part, whole, text) in [(3, 4, "75%"), (1, 3, "33%"), (2, 3, "67%"), (1, 257, "0.4%"), (0, 0, "-")] {
            assert_eq!(share(part, whole), text);
        }
    }

    #[test]
    fn long_texts_are_cut_or_wrapped() {
        assert_eq!(shorten("fiber", 5), "fiber");
        assert_eq!(shorten("glasfaser", 5), "glas…");
        assert_eq!(shorten("光ファイバー", 6), "光フ…", "wide characters are not cut in half");
        assert_eq!(shorten("x", 0), "");
        assert_eq!(shorten_middle("provider_17", 8), "provi…17");
        assert_eq!(shorten_middle("provider_17", 2), "p…");
        assert_eq!(wrap("one two three", 8, 2), "one two\n  three");
        assert_eq!(wrap("abcdefghij", 4, 1), "abcd\n efg\n hij");
        assert_eq!(plain("a\x1b[31m\nb\u{202e}"), "a [31m b ");
    }

    #[test]
    fn mistyped_words_are_guessed_if_they_are_near() {
        for (word, guess) in [
            ("statsu", Some("status")),
            ("Status", Some("status")),
            ("pni", Some("pin")),
            ("pinn", Some("pin")),
            ("", None),
            ("something", None),
            ("ünpin", Some("unpin")),
        ] {
            assert_eq!(nearest(word, ["status", "pin", "unpin"].into_iter()), guess, "{word}");
        }
    }

    proptest! {
        #[test]
        fn wrapped_lines_fit_and_no_word_is_lost(text in "(\\PC|[a-z ]){0,120}", columns in 4usize..50, indent in 0usize..6) {
            let wrapped = wrap(&text, columns, indent);
            for line in wrapped.lines() {
                prop_assert!(width(line) <= columns, "{:?}", line);
            }
            let letters = |text: &str| text.chars().filter(|char| !char.is_whitespace()).collect::<String>();
            prop_assert_eq!(letters(&wrapped), letters(&text));
        }

        #[test]
        fn a_shortened_text_fits(text in "\\PC{0,40}", columns in 0usize..30) {
            prop_assert!(width(&shorten(&text, columns)) <= columns);
            prop_assert!(width(&shorten_middle(&text, columns)) <= columns);
        }
    }
}

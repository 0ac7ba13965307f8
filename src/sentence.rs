//! Sentences that a page can say in another language: a pattern, and what belongs into its places.
//!
//! Made where something is decided or explained (`reason`, `why`, `core::choice`), with [`say!`]; written out in English for the log, the
//! events and the command line, and sent in parts to LuCI, whose translations have the patterns
//! (`openwrt/luci-app-failover/po/update` collects them from the `say!`s).

use std::fmt;

use serde_json::Value;

/// A pattern with `{0}`, `{1}`, ... for its parts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sentence {
    pattern: &'static str,
    parts: Vec<Part>,
}

/// What stands in a place of a pattern.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Part {
    /// A name, a number or a duration: the same in every language.
    Text(String),
    /// A sentence of its own.
    Sentence(Sentence),
}

/// `say!("{0} is online for {1}", name, duration(seconds))`: a [`Sentence`] from a literal pattern, in one line, and its parts.
#[macro_export]
macro_rules! say {
    ($pattern:literal $(, $part:expr)* $(,)?) => {{
        #[allow(unused_mut)]
        let mut sentence = $crate::sentence::Sentence::new($pattern);
        $(sentence.put($part);)*
        sentence
    }};
}

impl Sentence {
    /// Use [`say!`], by which the translations find the pattern. Never inlined: there are so many sentences that it would count.
    #[inline(never)]
    pub const fn new(pattern: &'static str) -> Self {
        Self { pattern, parts: Vec::new() }
    }

    /// The next part.
    #[inline(never)]
    pub fn put(&mut self, part: impl Into<Part>) {
        self.parts.push(part.into());
    }

    /// As ubus carries it: the pattern, then its parts; `["{0} is offline: {1}", "lte", ["no carrier"]]`.
    pub fn to_parts(&self) -> Value {
        let parts = self.parts.iter().map(|part| match part {
            Part::Text(text) => Value::from(text.as_str()),
            Part::Sentence(sentence) => sentence.to_parts(),
        });
        std::iter::once(Value::from(self.pattern)).chain(parts).collect()
    }
}

impl fmt::Display for Sentence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut rest = self.pattern;
        while let Some((before, after)) = rest.split_once('{') {
            f.write_str(before)?;
            let (place, after) = after.split_once('}').unwrap_or((after, ""));
            if let Some(part) = place.parse().ok().and_then(|place: usize| self.parts.get(place)) {
                part.fmt(f)?;
            }
            rest = after;
        }
        f.write_str(rest)
    }
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => f.write_str(text),
            Self::Sentence(sentence) => sentence.fmt(f),
        }
    }
}

/// Names as they stand within a sentence: `a, b and c`.
pub fn and(names: &[&str]) -> Part {
    match names {
        [first @ .., before, last] => {
            let before = [first, &[*before]].concat().join(", ");
            say!("{0} and {1}", before, *last).into()
        }
        _ => names.concat().into(),
    }
}

impl From<Sentence> for Part {
    fn from(sentence: Sentence) -> Self {
        Self::Sentence(sentence)
    }
}

impl From<String> for Part {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<&str> for Part {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<&String> for Part {
    fn from(text: &String) -> Self {
        Self::Text(text.clone())
    }
}

impl From<u32> for Part {
    fn from(number: u32) -> Self {
        Self::Text(number.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::and;
    use serde_json::json;

    #[test]
    fn names_in_a_row() {
        for (names, want) in
            [(&[][..], ""), (&["a"], "a"), (&["a", "b"], "a and b"), (&["a", "b", "c", "d"], "a, b, c and d")]
        {
            assert_eq!(and(names).to_string(), want);
        }
    }

    #[test]
    fn written_out_and_in_parts() {
        for (sentence, text, parts, why) in [
            (say!("no carrier"), "no carrier", json!(["no carrier"]), "no parts"),
            (say!("{1} of {0}", 4_u32, "fiber"), "fiber of 4", json!(["{1} of {0}", "4", "fiber"]), "in any order"),
            (
                say!("{0}: {1}", "lte", say!("no carrier")),
                "lte: no carrier",
                json!(["{0}: {1}", "lte", ["no carrier"]]),
                "a sentence in a sentence",
            ),
            (say!("{0}", "{0}"), "{0}", json!(["{0}", "{0}"]), "a part is no pattern"),
        ] {
            assert_eq!((sentence.to_string().as_str(), sentence.to_parts()), (text, parts), "{why}");
        }
    }
}

//! The part of YAML that fault_tolerant_router's configuration is written in: indented mappings and lists of plain or quoted
//! words on one line, comments, and lists in brackets.
//!
//! Read by `fault_tolerant_router`. A whole YAML reader costs 30 kB of compressed program for a file that is read once;
//! whatever is beyond this part comes out as such, with its line.

/// Deeper nesting is not understood.
const MAX_DEPTH: usize = 16;

/// A value with the line it begins in, from 1.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Node {
    pub(super) line: u32,
    pub(super) value: Value,
}

/// What a node holds.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Value {
    /// Nothing, as behind `key:` alone.
    Nothing,
    /// A word or text.
    Text(String),
    /// `- ...` or `[...]`.
    List(Vec<Node>),
    /// `key: ...`.
    Map(Vec<(String, Node)>),
}

/// A line with something in it.
#[derive(Clone, Copy)]
struct Row<'a> {
    line: u32,
    indent: usize,
    text: &'a str,
}

/// The document, and the lines that were not understood.
pub(super) fn read(text: &str) -> (Node, Vec<u32>) {
    let mut strange = Vec::new();
    let mut rows = Vec::new();
    for (line, text) in (1..).zip(text.lines()) {
        let content = without_comment(text);
        let trimmed = content.trim();
        if trimmed.is_empty() || trimmed == "---" || trimmed == "..." {
            continue;
        }
        let indent = content.len() - content.trim_start_matches(' ').len();
        // YAML forbids tabs as indentation.
        if content.get(indent..).is_some_and(|content| content.starts_with('\t')) {
            strange.push(line);
        } else {
            rows.push(Row { line, indent, text: trimmed });
        }
    }
    let mut reader = Reader { rows, at: 0, strange };
    let node = reader.block(0, MAX_DEPTH);
    while let Some(row) = reader.peek() {
        reader.skip(row);
    }
    (node, reader.strange)
}

struct Reader<'a> {
    rows: Vec<Row<'a>>,
    at: usize,
    strange: Vec<u32>,
}

impl<'a> Reader<'a> {
    fn peek(&self) -> Option<Row<'a>> {
        self.rows.get(self.at).copied()
    }

    fn skip(&mut self, row: Row<'a>) {
        self.strange.push(row.line);
        self.at += 1;
    }

    /// The rows from here on that are indented at least this much: one list or one mapping.
    fn block(&mut self, least: usize, depth: usize) -> Node {
        let Some(first) = self.peek().filter(|row| row.indent >= least) else {
            return Node { line: 0, value: Value::Nothing };
        };
        let is_list = item(first.text).is_some();
        let (mut list, mut map) = (Vec::new(), Vec::new());
        while let Some(row) = self.peek().filter(|row| row.indent >= first.indent) {
            match (item(row.text), entry(row.text)) {
                _ if row.indent > first.indent || depth == 0 => self.skip(row),
                (Some(rest), _) if is_list => list.push(self.item(row, rest, depth)),
                (None, Some((key, rest))) if !is_list => {
                    self.at += 1;
                    let node = self.value(row, rest, depth);
                    if map.iter().any(|(known, _)| *known == key) {
                        self.strange.push(row.line);
                    } else {
                        map.push((key, node));
                    }
                }
                // A list may stand as far left as the key that it belongs to.
                (Some(_), _) | (_, Some(_)) => break,
                _ => self.skip(row),
            }
        }
        Node { line: first.line, value: if is_list { Value::List(list) } else { Value::Map(map) } }
    }

    /// What follows a `-`: a word, or a block of its own that begins in the same row.
    fn item(&mut self, row: Row<'a>, rest: &'a str, depth: usize) -> Node {
        let behind = row.text.len() - rest.len();
        if item(rest).is_some() || entry(rest).is_some() {
            let inner = Row { line: row.line, indent: row.indent + behind, text: rest };
            if let Some(own) = self.rows.get_mut(self.at) {
                *own = inner;
            }
            return self.block(inner.indent, depth.saturating_sub(1));
        }
        self.at += 1;
        self.value(row, rest, depth)
    }

    /// What follows a key or a `-`: a word in the same row, or the rows below.
    fn value(&mut self, row: Row<'a>, rest: &'a str, depth: usize) -> Node {
        if rest.is_empty() {
            let below = self.peek().filter(|below| {
                below.indent > row.indent
                    || below.indent == row.indent && item(below.text).is_some() && item(row.text).is_none()
            });
            return match below {
                Some(below) => self.block(below.indent, depth.saturating_sub(1)),
                None => Node { line: row.line, value: Value::Nothing },
            };
        }
        let value = match rest.strip_prefix('[') {
            Some(list) => list.strip_suffix(']').and_then(|list| brackets(row.line, list)),
            None => word(rest).map(Value::Text),
        };
        let value = value.unwrap_or_else(|| {
            self.strange.push(row.line);
            Value::Nothing
        });
        Node { line: row.line, value }
    }
}

/// What follows the dash of a list item.
fn item(text: &str) -> Option<&str> {
    match text.strip_prefix('-')? {
        "" => Some(""),
        rest => rest.strip_prefix(' ').map(str::trim_start),
    }
}

/// Key and rest of `key: rest`. Ruby writes symbols as keys with another colon in front.
fn entry(text: &str) -> Option<(String, &str)> {
    let name = |char: char| char.is_ascii_alphanumeric() || char == '_' || char == '-';
    let bare = text.strip_prefix(':').unwrap_or(text);
    let end = bare.find(|char| !name(char))?;
    let (key, rest) = bare.split_at_checked(end).filter(|(key, _)| !key.is_empty())?;
    match rest.strip_prefix(':')? {
        "" => Some((key.to_owned(), "")),
        rest => rest.strip_prefix(' ').map(|rest| (key.to_owned(), rest.trim_start())),
    }
}

/// A plain or quoted word or text; `None` for anything that YAML gives another meaning.
fn word(text: &str) -> Option<String> {
    for quote in ['\'', '"'] {
        if let Some(rest) = text.strip_prefix(quote) {
            let inner = rest.strip_suffix(quote)?;
            // Within single quotes a doubled one is one; what a backslash means within double ones is beyond this part.
            let parts: Vec<&str> = if quote == '\'' { inner.split("''").collect() } else { vec![inner] };
            let plain = parts.iter().all(|part| !part.contains(quote)) && (quote == '\'' || !inner.contains('\\'));
            return plain.then(|| parts.join("'"));
        }
    }
    let special = text.starts_with(['[', ']', '{', '}', '&', '*', '!', '|', '>', '%', '@', '`', '?']);
    (!special && !text.contains(": ")).then(|| text.to_owned())
}

fn brackets(line: u32, text: &str) -> Option<Value> {
    let words = text.trim().trim_end_matches(',');
    let words = words.split(',').map(str::trim).filter(|_| !words.is_empty());
    let nodes = words.map(|text| {
        let value = word(text).filter(|_| !text.is_empty()).map(Value::Text)?;
        Some(Node { line, value })
    });
    nodes.collect::<Option<_>>().map(Value::List)
}

/// The row without a comment: one begins with `#` at its beginning or behind a blank, outside of quotes.
fn without_comment(text: &str) -> &str {
    let mut quote = None;
    let mut before = ' ';
    for (at, char) in text.char_indices() {
        match (char, quote) {
            ('#', None) if before.is_whitespace() => return text.get(..at).unwrap_or_default(),
            ('\'' | '"', None) if before.is_whitespace() || before == '[' || before == ',' => quote = Some(char),
            (char, Some(open)) if char == open => quote = None,
            _ => {}
        }
        before = char;
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A node in one line: lists in brackets, mappings in braces.
    fn show(node: &Node) -> String {
        match &node.value {
            Value::Nothing => "~".into(),
            Value::Text(text) => text.clone(),
            Value::List(nodes) => format!("[{}]", nodes.iter().map(show).collect::<Vec<_>>().join(" ")),
            Value::Map(entries) => {
                let entries: Vec<_> = entries.iter().map(|(key, node)| format!("{key}={}", show(node))).collect();
                format!("{{{}}}", entries.join(" "))
            }
        }
    }

    #[test]
    fn what_is_read() {
        for (text, want, why) in [
            ("a: 1\nb: two words # c\n", "{a=1 b=two words}", "words and a comment"),
            ("a: '# no comment'\n", "{a=# no comment}", "a # in quotes"),
            ("a: 'it''s'\n", "{a=it's}", "a doubled quote"),
            ("a:\nb: 1\n", "{a=~ b=1}", "nothing"),
            ("a:\n- 1\n- 2\nb: 3\n", "{a=[1 2] b=3}", "a list as far left as its key"),
            ("a:\n  - 1\n  - 2\nb: 3\n", "{a=[1 2] b=3}", "a list further right"),
            ("a:\n- x: 1\n  y: 2\n- x: 3\n", "{a=[{x=1 y=2} {x=3}]}", "mappings in a list"),
            ("a:\n-\n  x: 1\n", "{a=[{x=1}]}", "a mapping below its dash"),
            ("a:\n  b:\n    c: 1\n  d: 2\n", "{a={b={c=1} d=2}}", "mappings in mappings"),
            ("a: [1, 'two', \"3\"]\n", "{a=[1 two 3]}", "a list in brackets"),
            ("---\n:a: :b\n", "{a=:b}", "Ruby's symbols"),
        ] {
            let (node, strange) = read(text);
            assert_eq!((show(&node), strange), (want.into(), vec![]), "{why}");
        }
    }

    #[test]
    fn what_is_not_understood() {
        for (text, want, why) in [
            ("a: &x 1\n", vec![1], "an anchor"),
            ("a: {b: 1}\n", vec![1], "braces"),
            ("a: |\n  text\nb: 1\n", vec![1, 2], "a block of text"),
            ("a: 'it's'\n", vec![1], "a lone quote"),
            ("a: \"\\x41\"\n", vec![1], "an escape"),
            ("a: 1\n  more\n", vec![2], "a text that goes on"),
            ("a: 1\n\tb: 1\n", vec![2], "a tab"),
            ("a: 1\na: 2\n", vec![2], "a key that is there twice"),
            ("a: [1, [2]]\n", vec![1], "lists in lists in brackets"),
            ("- a\nb: 1\n", vec![2], "a key behind a list"),
        ] {
            let (_, mut strange) = read(text);
            strange.sort_unstable();
            assert_eq!(strange, want, "{why}");
        }
    }

    #[test]
    fn nesting_has_an_end() {
        let deep: String = (0..500).map(|depth| format!("{}a:\n", " ".repeat(depth))).collect();
        assert!(!read(&deep).1.is_empty());
        assert!(!read(&"- ".repeat(50_000)).1.is_empty());
    }
}

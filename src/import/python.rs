//! The plain values that a Python file assigns to names: numbers, strings, lists, calls of plain values.
//!
//! Read by `linux_failover`. Nothing is executed: whatever is not a plain value comes out as such, with its line. Lines
//! that are indented belong to something else, and are not looked at.

use nom::branch::alt;
use nom::bytes::complete::{tag, take_while, take_while1};
use nom::character::complete::{anychar, char, satisfy};
use nom::combinator::{map, recognize, value};
use nom::error::{Error, ErrorKind};
use nom::sequence::{pair, preceded};
use nom::{IResult, Parser};

/// Deeper nesting is no plain value.
const MAX_DEPTH: u32 = 16;

/// What a file says in one of its lines.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Statement {
    /// The line it begins in, from 1.
    pub(super) line: u32,
    /// The name before the `=`; empty for any other statement.
    pub(super) name: String,
    /// `None`: not a plain value.
    pub(super) value: Option<Value>,
}

/// A plain value.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Value {
    /// A string.
    Text(String),
    /// A number as it is written, with its sign.
    Number(String),
    /// A name: `True`, `None`, another variable.
    Name(String),
    /// A list or tuple, each element with its line.
    List(Vec<(u32, Value)>),
    /// `NAME(...)`, its arguments with their lines and, if they have one, names.
    Call(String, Vec<(u32, Option<String>, Value)>),
}

/// One word of Python.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Token {
    Name(String),
    Number(String),
    Text(String),
    /// Any other character.
    Sign(char),
}

/// A token's line, and whether it is the first of its line and not indented.
type Placed = (u32, bool, Token);

/// Every statement that is not indented.
pub(super) fn statements(text: &str) -> Vec<Statement> {
    let tokens = tokens(text);
    let mut statements = Vec::new();
    let mut rest = tokens.as_slice();
    while let Some(((line, begins, _), behind)) = rest.split_first() {
        let end = behind.iter().position(|(_, begins, _)| *begins).map_or(rest.len(), |at| at + 1);
        let (one, following) = rest.split_at(end);
        if *begins {
            statements.push(statement(*line, one));
        }
        rest = following;
    }
    statements
}

fn statement(line: u32, tokens: &[Placed]) -> Statement {
    let nothing = Statement { line, name: String::new(), value: None };
    let Some((_, _, Token::Name(name))) = tokens.first() else { return nothing };
    let assigned = tokens.iter().position(|(.., token)| *token == Token::Sign('='));
    let annotated = matches!(tokens.get(1), Some((.., Token::Sign(':' | '='))));
    match assigned.and_then(|at| tokens.get(at + 1..)) {
        Some(rest) if annotated => {
            let value = read(rest, MAX_DEPTH).filter(|(_, rest)| rest.is_empty()).map(|(value, _)| value);
            Statement { line, name: name.clone(), value }
        }
        _ => nothing,
    }
}

/// A plain value at the beginning of `tokens`, and what follows it.
fn read(tokens: &[Placed], depth: u32) -> Option<(Value, &[Placed])> {
    let depth = depth.checked_sub(1)?;
    let ((.., first), rest) = tokens.split_first()?;
    match first {
        Token::Text(text) => {
            let (mut text, mut rest) = (text.clone(), rest);
            // Strings side by side are one.
            while let Some(((.., Token::Text(more)), behind)) = rest.split_first() {
                text += more;
                rest = behind;
            }
            Some((Value::Text(text), rest))
        }
        Token::Number(number) => Some((Value::Number(number.clone()), rest)),
        Token::Sign('-') => match rest.split_first()? {
            ((.., Token::Number(number)), rest) => Some((Value::Number(format!("-{number}")), rest)),
            _ => None,
        },
        Token::Name(name) => match rest.split_first() {
            Some(((.., Token::Sign('(')), rest)) => {
                let (arguments, rest) = items(rest, ')', depth)?;
                Some((Value::Call(name.clone(), arguments), rest))
            }
            _ => Some((Value::Name(name.clone()), rest)),
        },
        Token::Sign(open @ ('[' | '(')) => {
            let (items, rest) = items(rest, if *open == '[' { ']' } else { ')' }, depth)?;
            let plain = items.into_iter().map(|(line, name, value)| name.is_none().then_some((line, value)));
            Some((Value::List(plain.collect::<Option<_>>()?), rest))
        }
        Token::Sign(_) => None,
    }
}

/// What stands between brackets: values, or `NAME=VALUE`.
type Items = Vec<(u32, Option<String>, Value)>;

fn items(mut tokens: &[Placed], close: char, depth: u32) -> Option<(Items, &[Placed])> {
    let mut items = Items::new();
    loop {
        if let ((.., Token::Sign(sign)), rest) = tokens.split_first()?
            && *sign == close
        {
            return Some((items, rest));
        }
        let line = tokens.first()?.0;
        let name = match tokens {
            [(.., Token::Name(name)), (.., Token::Sign('=')), rest @ ..] => {
                tokens = rest;
                Some(name.clone())
            }
            _ => None,
        };
        let (value, rest) = read(tokens, depth)?;
        items.push((line, name, value));
        tokens = match rest.split_first()? {
            ((.., Token::Sign(',')), rest) => rest,
            ((.., Token::Sign(sign)), _) if *sign == close => rest,
            _ => return None,
        };
    }
}

fn tokens(text: &str) -> Vec<Placed> {
    let mut tokens = Vec::new();
    let (mut rest, mut line, mut depth) = (text, 1u32, 0u32);
    let mut fresh = true;
    while let Some(first) = rest.chars().next() {
        let Ok((behind, token)) = token(rest) else { break };
        let taken = rest.get(..rest.len() - behind.len()).unwrap_or_default();
        if let Some(token) = token {
            match token {
                Token::Sign('(' | '[' | '{') => depth = depth.saturating_add(1),
                Token::Sign(')' | ']' | '}') => depth = depth.saturating_sub(1),
                _ => {}
            }
            let inside = u32::from(matches!(token, Token::Sign('(' | '[' | '{')));
            tokens.push((line, fresh && depth == inside, token));
            fresh = false;
        } else if first == '\n' {
            fresh = depth == 0;
        } else if first != '#' {
            fresh = false;
        }
        line += u32::try_from(taken.matches('\n').count()).unwrap_or_default();
        rest = behind;
    }
    tokens
}

/// A token, or `None` for blanks and comments.
fn token(text: &str) -> IResult<&str, Option<Token>> {
    let blank = |char: char| char != '\n' && char.is_whitespace();
    alt((
        value(None, char::<_, Error<&str>>('\n')),
        // A backslash joins the next line to this one.
        value(None, tag("\\\n")),
        value(None, tag("\\\r\n")),
        value(None, take_while1(blank)),
        value(None, preceded(char('#'), take_while(|char| char != '\n'))),
        map(string, |text| Some(Token::Text(text))),
        map(number, |number| Some(Token::Number(number.to_owned()))),
        map(name, |name| Some(Token::Name(name.to_owned()))),
        map(anychar, |char| Some(Token::Sign(char))),
    ))
    .parse(text)
}

fn name(text: &str) -> IResult<&str, &str> {
    recognize(pair(
        // Python takes some signs beyond ASCII for letters and some not; which ones is a table of 2 kB.
        satisfy(|char| char.is_ascii_alphabetic() || char == '_' || !char.is_ascii()),
        take_while(|char: char| char.is_ascii_alphanumeric() || char == '_' || !char.is_ascii()),
    ))
    .parse(text)
}

fn number(text: &str) -> IResult<&str, &str> {
    let more = |char: char| char.is_ascii_alphanumeric() || char == '.' || char == '_';
    recognize(pair(satisfy(|char| char.is_ascii_digit()), take_while(more))).parse(text)
}

/// A string without expressions in it. One that is never closed is none.
fn string(text: &str) -> IResult<&str, String> {
    let never = || nom::Err::Error(Error::new(text, ErrorKind::Tag));
    let (rest, prefix) = alt((tag("r"), tag("R"), tag("u"), tag(""))).parse(text)?;
    let raw = prefix.eq_ignore_ascii_case("r");
    let (mut rest, quote) = alt((tag("\"\"\""), tag("'''"), tag("\""), tag("'"))).parse(rest)?;
    let mut content = String::new();
    loop {
        if let Some(behind) = rest.strip_prefix(quote) {
            return Ok((behind, content));
        }
        let mut chars = rest.chars();
        match chars.next().ok_or_else(never)? {
            '\n' if quote.len() == 1 => return Err(never()),
            '\\' if !raw => match chars.next().ok_or_else(never)? {
                'n' => content.push('\n'),
                't' => content.push('\t'),
                '\n' => {}
                other => content.push(other),
            },
            other => content.push(other),
        }
        rest = chars.as_str();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values() {
        let text = |text: &str| Value::Text(text.into());
        let number = |number: &str| Value::Number(number.into());
        let name = |name: &str| Value::Name(name.into());
        for (source, want, why) in [
            ("A = 5", Some(number("5")), "a number"),
            ("A = -0.5  # half", Some(number("-0.5")), "with a sign and a comment"),
            ("A: float = 0.3", Some(number("0.3")), "an annotation"),
            ("A: list[int] = 1", Some(number("1")), "an annotation with brackets"),
            ("A = 'a' \"b\"", Some(text("ab")), "two strings side by side"),
            ("A = 'it\\'s'", Some(text("it's")), "an escaped quote"),
            ("A = r'\\n'", Some(text("\\n")), "a raw string"),
            ("A = '''a\nb'''", Some(text("a\nb")), "over two lines"),
            ("A = f'{B}'", None, "an expression within a string"),
            ("A = 'open", None, "a string that is never closed"),
            ("A = True", Some(name("True")), "a name"),
            ("A = [\n  1, # one\n  2,\n]", Some(Value::List(vec![(2, number("1")), (3, number("2"))])), "a list"),
            (
                "A = B('x',\n y=2)",
                Some(Value::Call("B".into(), vec![(1, None, text("x")), (2, Some("y".into()), number("2"))])),
                "a call",
            ),
            ("A = 60 * 5", None, "a calculation"),
            ("A = B.c", None, "an attribute"),
            ("A = {'a': 1}", None, "a dictionary"),
            ("A = [x for x in y]", None, "a comprehension"),
            ("A = [1", None, "never closed"),
            ("A == 1", None, "a comparison"),
        ] {
            let statements = statements(source);
            assert_eq!((statements.len(), statements[0].name.as_str()), (1, "A"), "{why}");
            assert_eq!(statements[0].value, want, "{why}");
        }
    }

    #[test]
    fn statements_and_their_lines() {
        let source = "#!/usr/bin/env python3\nimport x\n\nA = 1\nif A:\n    B = 2\nC = [\n1]\nx()\nD \\\n = 4\n";
        let found: Vec<(u32, String)> = statements(source).into_iter().map(|one| (one.line, one.name)).collect();
        let want = [(2, ""), (4, "A"), (5, ""), (7, "C"), (9, ""), (10, "D")];
        assert_eq!(found, want.map(|(line, name)| (line, name.to_owned())));
    }

    #[test]
    fn nesting_has_an_end() {
        let deep = format!("A = {}{}", "[".repeat(100_000), "]".repeat(100_000));
        assert_eq!(statements(&deep)[0].value, None);
    }
}

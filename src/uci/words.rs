//! Words of a UCI line: quotes, backslashes, comments and `;`, as libuci's file backend reads them.
//!
//! Fed with the bytes of a file by `uci::parse`, which makes sections and options of the words.

use nom::branch::alt;
use nom::bytes::complete::{tag, take, take_till, take_till1, take_while};
use nom::character::complete::char;
use nom::combinator::{eof, map, value};
use nom::error::{Error, ErrorKind};
use nom::multi::fold_many0;
use nom::sequence::{preceded, terminated};
use nom::{IResult, Parser};

/// The six bytes of C's `isspace`.
fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r' | 0x0b | 0x0c)
}

/// A place in a file, and whether the line it is on still has something to say.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cursor<'a> {
    rest: &'a [u8],
    line: u32,
    open: bool,
}

/// What the first word of a statement asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Command {
    Package,
    Config,
    Option,
    List,
}

/// An opening quote without a closing one before the end of the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Unterminated {
    /// The line of the opening quote.
    pub(super) line: u32,
    /// The quote.
    pub(super) quote: char,
}

impl<'a> Cursor<'a> {
    pub(super) fn new(text: &'a [u8]) -> Self {
        Self { rest: text, line: 1, open: true }
    }

    /// The number of the line, from 1.
    pub(super) fn line(&self) -> u32 {
        self.line
    }

    /// Whether the file has another line, which is begun by this.
    pub(super) fn begin_line(&mut self) -> bool {
        self.open = !self.rest.is_empty();
        self.skip_space();
        self.open || !self.rest.is_empty()
    }

    /// Gives the rest of the line up.
    pub(super) fn end_line(&mut self) {
        if self.open {
            let after = self.rest.iter().position(|&byte| byte == b'\n').map_or(self.rest.len(), |at| at + 1);
            self.advance(self.rest.get(after..).unwrap_or_default());
            self.open = false;
        }
    }

    /// Gives the rest of the line up, and the lines joined to it by backslashes.
    pub(super) fn end_joined_lines(&mut self) {
        loop {
            let before = self.rest;
            self.end_line();
            let passed = before.get(..before.len() - self.rest.len()).unwrap_or_default();
            if !passed.ends_with(b"\\\n") && !passed.ends_with(b"\\\r\n") {
                return;
            }
            self.open = true;
        }
    }

    /// The next statement's command; `None` at the end of the line. An unknown command is an error with its text.
    pub(super) fn command(&mut self) -> Result<Option<Command>, String> {
        if !self.open {
            return Ok(None);
        }
        // libuci finds the command with strtok, which knows spaces and tabs alone: a newline would be part of the word.
        if let Ok((rest, _)) = blanks(self.rest) {
            self.advance(rest);
        }
        match self.rest.first() {
            None => {
                self.open = false;
                Ok(None)
            }
            Some(b'#') => {
                self.end_line();
                Ok(None)
            }
            Some(_) => match command_word(self.rest) {
                Ok((rest, command)) => {
                    self.advance(rest);
                    Ok(Some(command))
                }
                Err(_) => {
                    let end = self.rest.iter().position(|&byte| is_space(byte)).unwrap_or(self.rest.len());
                    Err(String::from_utf8_lossy(self.rest.get(..end).unwrap_or_default()).into_owned())
                }
            },
        }
    }

    /// The next argument, empty where there is none.
    pub(super) fn argument(&mut self) -> Result<String, Unterminated> {
        self.skip_space();
        if !self.open {
            return Ok(String::new());
        }
        if let Some((b';', rest)) = self.rest.split_first() {
            self.rest = rest;
            return Ok(String::new());
        }
        let before = self.rest.len();
        let (rest, text) = match word(self.rest) {
            Ok(found) => found,
            Err(nom::Err::Error(at) | nom::Err::Failure(at)) => {
                let mut opening = *self;
                opening.advance(at.input);
                let quote = at.input.first().map_or('\'', |&byte| char::from(byte));
                return Err(Unterminated { line: opening.line, quote });
            }
            Err(nom::Err::Incomplete(_)) => (self.rest, Vec::new()),
        };
        self.advance(rest);
        match self.rest.first() {
            // libuci ends the decoded word with a zero byte. Where nothing was decoded away, that byte falls on the `;`,
            // and the rest of the line is never seen.
            Some(b';') if before - self.rest.len() == text.len() => self.end_line(),
            Some(b';') => {}
            Some(&byte) if is_space(byte) => {
                self.advance(self.rest.get(1..).unwrap_or_default());
                self.open = byte != b'\n';
            }
            _ => self.end_line(),
        }
        Ok(String::from_utf8_lossy(&text).into_owned())
    }

    fn skip_space(&mut self) {
        while self.open {
            let Some((&byte, rest)) = self.rest.split_first() else {
                self.open = false;
                return;
            };
            if !is_space(byte) {
                return;
            }
            self.advance(rest);
            self.open = byte != b'\n';
        }
    }

    /// Moves on to `rest`, which ends where the present rest ends, and counts the lines passed.
    fn advance(&mut self, rest: &'a [u8]) {
        let passed = self.rest.get(..self.rest.len().saturating_sub(rest.len())).unwrap_or_default();
        let newlines = passed.iter().filter(|&&byte| byte == b'\n').count();
        self.line = self.line.saturating_add(u32::try_from(newlines).unwrap_or(u32::MAX));
        self.rest = rest;
    }
}

fn blanks(input: &[u8]) -> IResult<&[u8], &[u8]> {
    take_while(|byte| byte == b' ' || byte == b'\t').parse(input)
}

fn command_word(input: &[u8]) -> IResult<&[u8], Command> {
    let blank = || alt((char(' '), char('\t')));
    let either =
        |long, short, command| value(command, alt((terminated(tag(long), blank()), terminated(tag(short), blank()))));
    alt((
        either("package", "p", Command::Package),
        either("config", "c", Command::Config),
        either("option", "o", Command::Option),
        either("list", "l", Command::List),
    ))
    .parse(input)
}

/// One word: fragments glued together until white space, `;`, a comment or the end of the file.
fn word(input: &[u8]) -> IResult<&[u8], Vec<u8>> {
    let bare = take_till1(|byte| is_space(byte) || matches!(byte, b'\'' | b'"' | b'\\' | b'#' | b';'));
    glued(alt((map(bare, <[u8]>::to_vec), single_quoted, double_quoted, escaped))).parse(input)
}

fn glued<'a, P>(fragment: P) -> impl Parser<&'a [u8], Output = Vec<u8>, Error = Error<&'a [u8]>>
where
    P: Parser<&'a [u8], Output = Vec<u8>, Error = Error<&'a [u8]>>,
{
    fold_many0(fragment, Vec::new, |mut word: Vec<u8>, mut more: Vec<u8>| {
        word.append(&mut more);
        word
    })
}

/// `'...'`: everything counts as it is, newlines too.
fn single_quoted(input: &[u8]) -> IResult<&[u8], Vec<u8>> {
    let (body, _) = char('\'').parse(input)?;
    let (rest, text) = take_till(|byte| byte == b'\'').parse(body)?;
    close(input, rest, '\'').map(|(rest, ())| (rest, text.to_vec()))
}

/// `"..."`: as above, but a backslash takes the meaning from the next byte.
fn double_quoted(input: &[u8]) -> IResult<&[u8], Vec<u8>> {
    let (body, _) = char('"').parse(input)?;
    let plain = take_till1(|byte| byte == b'"' || byte == b'\\');
    let (rest, text) = glued(alt((map(plain, <[u8]>::to_vec), escaped))).parse(body)?;
    close(input, rest, '"').map(|(rest, ())| (rest, text))
}

/// The closing quote; the failure names the opening one.
fn close<'a>(opening: &'a [u8], rest: &'a [u8], quote: char) -> IResult<&'a [u8], ()> {
    match char::<_, Error<&[u8]>>(quote).parse(rest) {
        Ok((rest, _)) => Ok((rest, ())),
        Err(_) => Err(nom::Err::Failure(Error::new(opening, ErrorKind::Char))),
    }
}

/// A backslash with what it escapes; it joins lines at the end of one.
fn escaped(input: &[u8]) -> IResult<&[u8], Vec<u8>> {
    let line_end = alt((tag("\n"), tag("\r\n"), eof));
    let any = take(1usize);
    preceded(char('\\'), alt((value(Vec::new(), line_end), map(any, <[u8]>::to_vec)))).parse(input)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words() {
        for (input, want, why) in [
            ("abc def", "abc", "white space ends a word"),
            ("'a b'", "a b", "quoted white space does not"),
            (r"'it'\''s'", "it's", "fragments are glued: the shell's way to quote an apostrophe"),
            (r#""a\"b\\c""#, r#"a"b\c"#, "a backslash works in double quotes"),
            (r"'a\b'", r"a\b", "and not in single quotes"),
            ("a\\\nb", "ab", "backslash newline joins lines"),
            ("a\\\r\nb", "ab", "with a carriage return too"),
            ("'a\nb'", "a\nb", "quotes span lines"),
            ("a#b", "a", "a comment begins within a word"),
            ("'a#b'", "a#b", "but not within quotes"),
            (r"a\;b", "a;b", "an escaped separator is text"),
            ("a\r\n", "a", "a carriage return is white space"),
            ("a\\", "a", "a backslash at the very end escapes nothing"),
            ("''", "", "nothing, quoted"),
        ] {
            assert_eq!(Cursor::new(input.as_bytes()).argument().as_deref(), Ok(want), "{why}: {input:?}");
        }
    }

    #[test]
    fn an_open_quote_is_reported_where_it_opens() {
        let mut cursor = Cursor::new(b"a\\\n'b\nc\n");
        assert_eq!(cursor.argument(), Err(Unterminated { line: 2, quote: '\'' }));
    }

    #[test]
    fn semicolons() {
        for (input, want, why) in [
            ("a; b", "", "an undecoded word takes the rest of the line with it"),
            ("'a'; b", "", "the separator itself reads as an empty argument"),
            ("a ; b", "", "with white space before it as well"),
        ] {
            let mut cursor = Cursor::new(input.as_bytes());
            assert_eq!(cursor.argument().as_deref(), Ok("a"));
            assert_eq!(cursor.argument().as_deref(), Ok(want), "{why}: {input:?}");
            assert_eq!(cursor.argument().as_deref(), Ok(if input == "a; b" { "" } else { "b" }), "{why}: {input:?}");
        }
    }
}

//! What a backslash means in Ruby's syntax.

use super::cursor::Cursor;
use super::error::RegexError;
use super::posix::{self, Range};

/// The meaning of one escape.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Escape {
    /// One character, taken literally.
    Char(char),
    /// One byte that is not UTF-8 by itself (`\xff`).
    Byte(u8),
    /// A set of characters: what stands between the brackets of a class in `regex` syntax.
    Set { content: String, negated: bool },
    /// A piece of `regex` syntax that consumes nothing or is no single character.
    Syntax(&'static str),
    /// `\Z`: the end, or before a newline at the end.
    SemiEnd,
    /// `\K`: the match begins here.
    Keep,
    /// `\1`, `\k<name>`.
    BackRef(Target),
    /// `\g<name>`.
    Call(Target),
}

/// A group named by a back-reference or call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Target {
    Number(u32),
    /// Relative to the groups opened so far.
    Relative(i32),
    Name(String),
}

/// Reads the escape behind a backslash that has just been read. `groups`: how many groups the pattern has opened
/// so far, which tells `\12` the reference from `\12` the octal character.
pub(super) fn parse(c: &mut Cursor<'_>, in_class: bool, range: Range, groups: usize) -> Result<Escape, RegexError> {
    let at = c.pos() - 1;
    let Some(letter) = c.next() else { return Err(c.error(at, "a lone backslash ends the pattern")) };
    let set = |content: &str, negated| Ok(Escape::Set { content: content.to_owned(), negated });
    match letter {
        'd' | 'D' => set(posix::digit(range), letter == 'D'),
        'w' | 'W' => set(posix::word(range), letter == 'W'),
        's' | 'S' => set(posix::space(range), letter == 'S'),
        'h' | 'H' => set(posix::HEX, letter == 'H'),
        't' => Ok(Escape::Char('\t')),
        'n' => Ok(Escape::Char('\n')),
        'r' => Ok(Escape::Char('\r')),
        'f' => Ok(Escape::Char('\x0c')),
        'v' => Ok(Escape::Char('\x0b')),
        'a' => Ok(Escape::Char('\x07')),
        'e' => Ok(Escape::Char('\x1b')),
        'b' if in_class => Ok(Escape::Char('\x08')),
        'x' | 'u' | 'c' | 'C' | 'M' | '0' => code(c, letter, at),
        'p' | 'P' if c.peek() == Some('{') => property(c, letter == 'P', range, at),
        '1'..='9' => number(c, letter, in_class, groups),
        _ if in_class => Ok(Escape::Char(letter)),
        'b' => Ok(Escape::Syntax(if range == Range::Ascii { r"(?-u:\b)" } else { r"\b" })),
        'B' => Ok(Escape::Syntax(if range == Range::Ascii { r"(?-u:\B)" } else { r"\B" })),
        // A search begins at the start of the text, so \G is there.
        'A' | 'G' => Ok(Escape::Syntax(r"\A")),
        'z' => Ok(Escape::Syntax(r"\z")),
        'R' => Ok(Escape::Syntax(r"(?:\r\n|[\n-\r\x{85}\x{2028}\x{2029}])")),
        'X' => Ok(Escape::Syntax(r"(?:\r\n|(?s:.)\p{M}*)")),
        'Z' => Ok(Escape::SemiEnd),
        'K' => Ok(Escape::Keep),
        'k' if c.peek().is_some_and(|q| q == '<' || q == '\'') => Ok(Escape::BackRef(target(c, at)?)),
        'g' if c.peek().is_some_and(|q| q == '<' || q == '\'') => Ok(Escape::Call(target(c, at)?)),
        other => Ok(Escape::Char(other)),
    }
}

/// `<name>` or `'name'`, a number or a signed number in place of the name.
pub(super) fn target(c: &mut Cursor<'_>, at: usize) -> Result<Target, RegexError> {
    let close = if c.next() == Some('<') { '>' } else { '\'' };
    let Some(name) = c.until(close) else { return Err(c.error(at, "group name without its end")) };
    if name.is_empty() {
        return Err(c.error(at, "empty group name"));
    }
    Ok(
        if let Ok(n) = name.parse::<u32>()
            && !name.starts_with('+')
        {
            Target::Number(n)
        } else if let Ok(n) = name.parse::<i32>() {
            Target::Relative(n)
        } else {
            Target::Name(name.to_owned())
        },
    )
}

/// `\p{Name}`, `\p{^Name}`, `\P{Name}`.
fn property(c: &mut Cursor<'_>, negated: bool, range: Range, at: usize) -> Result<Escape, RegexError> {
    c.next();
    let Some(name) = c.until('}') else { return Err(c.error(at, "character property without its closing brace")) };
    let (name, negated) = name.strip_prefix('^').map_or((name, negated), |name| (name, !negated));
    let content = posix::property(name, range).map_or_else(|| format!(r"\p{{{name}}}"), str::to_owned);
    Ok(Escape::Set { content, negated })
}

/// A reference to a group, or an octal character.
fn number(c: &mut Cursor<'_>, first: char, in_class: bool, groups: usize) -> Result<Escape, RegexError> {
    let start = c.pos() - 1;
    c.seek(start);
    if !in_class
        && let Some(n) = c.number(10, 4)
        && (n <= 9 || n as usize <= groups)
    {
        return Ok(Escape::BackRef(Target::Number(n)));
    }
    c.seek(start);
    match c.number(8, 3) {
        Some(n) => Ok(byte_or_char(c, (n & 0xff) as u8)),
        None => {
            c.seek(start + 1);
            Ok(Escape::Char(first))
        }
    }
}

/// Escapes that give a character by its code.
fn code(c: &mut Cursor<'_>, letter: char, at: usize) -> Result<Escape, RegexError> {
    match letter {
        'x' if c.eat("{") => {
            let value = c.number(16, 8);
            match value.and_then(char::from_u32) {
                Some(found) if c.eat("}") => Ok(Escape::Char(found)),
                _ => Err(c.error(at, r"\x{…} is no character")),
            }
        }
        'x' => match c.number(16, 2) {
            Some(n) => Ok(byte_or_char(c, (n & 0xff) as u8)),
            None => Ok(Escape::Char('\0')),
        },
        'u' => {
            let start = c.pos();
            match c.number(16, 4).and_then(char::from_u32) {
                Some(found) if c.pos() == start + 4 => Ok(Escape::Char(found)),
                _ => Err(c.error(at, r"\u needs the four hexadecimal digits of a character")),
            }
        }
        '0' => {
            let n = c.number(8, 2).unwrap_or(0);
            Ok(byte_or_char(c, (n & 0xff) as u8))
        }
        _ => {
            c.seek(at + 1);
            let byte = control(c, at, 0)?;
            Ok(byte_or_char(c, byte))
        }
    }
}

/// `\cx`, `\C-x`, `\M-x` and their combinations, the cursor behind the backslash.
fn control(c: &mut Cursor<'_>, at: usize, depth: usize) -> Result<u8, RegexError> {
    let bad = |c: &Cursor<'_>| c.error(at, "control or meta character is not complete");
    let is_control = if c.eat("c") || c.eat("C-") {
        true
    } else if c.eat("M-") {
        false
    } else {
        return Err(bad(c));
    };
    let inner = match c.next() {
        Some('\\') if depth < 2 => control(c, at, depth + 1)?,
        Some('?') if is_control => return Ok(0x7f),
        Some(x) if x.is_ascii() => x as u8,
        _ => return Err(bad(c)),
    };
    Ok(if is_control { inner & 0x9f } else { inner | 0x80 })
}

/// A byte given by code: a character when ASCII, or when the escapes behind it complete it as UTF-8.
fn byte_or_char(c: &mut Cursor<'_>, first: u8) -> Escape {
    if first.is_ascii() {
        return Escape::Char(first as char);
    }
    let (start, mut bytes) = (c.pos(), vec![first]);
    while bytes.len() < 4 && c.eat(r"\x") {
        let Some(next) = c.number(16, 2) else { break };
        bytes.push((next & 0xff) as u8);
        if let Some(found) = std::str::from_utf8(&bytes).ok().and_then(|s| s.chars().next()) {
            return Escape::Char(found);
        }
    }
    c.seek(start);
    Escape::Byte(first)
}

//! Bracketed character classes: Ruby's in, `regex` syntax out.

use super::cursor::Cursor;
use super::error::RegexError;
use super::escape::{self, Escape};
use super::posix::{self, Range};

/// Classes nested deeper than this are refused.
const MAX_DEPTH: usize = 64;

/// One member of a class.
enum Item {
    Char(char),
    /// A set, in `regex` syntax, ready to stand inside brackets.
    Set(String),
}

/// Reads a class whose `[` has just been read, up to its `]`, and writes it in `regex` syntax.
pub(super) fn parse(c: &mut Cursor<'_>, range: Range) -> Result<String, RegexError> {
    let mut out = String::new();
    nested(c, range, 0, &mut out)?;
    Ok(out)
}

fn nested(c: &mut Cursor<'_>, range: Range, depth: usize, out: &mut String) -> Result<(), RegexError> {
    let open = c.pos() - 1;
    if depth > MAX_DEPTH {
        return Err(c.error(open, "character classes are nested too deeply"));
    }
    out.push('[');
    if c.eat("^") {
        out.push('^');
    }
    // A bracket that closes at once would leave an empty class: it is a literal when another one follows.
    let mut first = true;
    loop {
        let at = c.pos();
        if c.rest().starts_with(']') {
            if !first || !c.rest().get(1..).is_some_and(|rest| rest.contains(']')) {
                if first {
                    return Err(c.error(open, "empty character class"));
                }
                c.next();
                out.push(']');
                return Ok(());
            }
        } else if c.eat("&&") {
            out.push_str("&&");
            first = false;
            continue;
        }
        first = false;
        match item(c, range, depth, open)? {
            Item::Set(set) => out.push_str(&set),
            Item::Char(low) => match range_end(c, range, depth, open)? {
                Some(high) if high < low => return Err(c.error(at, "range of characters is reversed")),
                Some(high) => {
                    push_char(out, low);
                    out.push('-');
                    push_char(out, high);
                }
                None => push_char(out, low),
            },
        }
    }
}

/// The upper end of a range when `-` and a single character stand here; else nothing is read.
fn range_end(c: &mut Cursor<'_>, range: Range, depth: usize, open: usize) -> Result<Option<char>, RegexError> {
    let start = c.pos();
    if !c.eat("-") || c.rest().starts_with(']') || c.rest().starts_with('[') || c.rest().starts_with("&&") {
        c.seek(start);
        return Ok(None);
    }
    match item(c, range, depth, open)? {
        Item::Char(high) => Ok(Some(high)),
        Item::Set(_) => {
            c.seek(start);
            Ok(None)
        }
    }
}

fn item(c: &mut Cursor<'_>, range: Range, depth: usize, open: usize) -> Result<Item, RegexError> {
    let at = c.pos();
    match c.next() {
        None => Err(c.error(open, "character class without its closing bracket")),
        Some('[') => {
            if let Some(set) = posix_bracket(c, range) {
                return Ok(Item::Set(set));
            }
            let mut inner = String::new();
            nested(c, range, depth + 1, &mut inner)?;
            Ok(Item::Set(inner))
        }
        Some('\\') => match escape::parse(c, true, range, 0)? {
            Escape::Char(found) => Ok(Item::Char(found)),
            Escape::Set { content, negated: true } => Ok(Item::Set(format!("[^{content}]"))),
            Escape::Set { content, .. } => Ok(Item::Set(content)),
            _ => Err(c.error(at, "this escape cannot stand in a character class")),
        },
        Some(literal) => Ok(Item::Char(literal)),
    }
}

/// `[:alpha:]` or `[:^alpha:]`, its first bracket read already.
fn posix_bracket(c: &mut Cursor<'_>, range: Range) -> Option<String> {
    let inner = c.rest().strip_prefix(':')?;
    let (name, _) = inner.split_once(":]")?;
    let (plain, negated) = name.strip_prefix('^').map_or((name, false), |plain| (plain, true));
    let content = posix::bracket(plain, range)?;
    c.seek(c.pos() + 1 + name.len() + 2);
    Some(if negated { format!("[^{content}]") } else { content.to_owned() })
}

/// Writes one character so that it means itself, inside brackets and outside.
pub(super) fn push_char(out: &mut String, c: char) {
    if regex_syntax::is_meta_character(c) {
        out.push('\\');
        out.push(c);
    } else if c.is_ascii_control() || c == ' ' {
        out.push_str(&format!(r"\x{:02X}", c as u32));
    } else {
        out.push(c);
    }
}

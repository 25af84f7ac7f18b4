//! Patterns as Ruby (Onigmo) writes them, translated for the engines of this program.
//!
//! Where the two disagree the meaning is Ruby's: `^` and `$` are anchors of lines, `m` lets the dot match a newline,
//! `\<` is a literal, `\d`, `\s` and `\w` are ASCII, plain parentheses do not capture beside named groups, a name may
//! be used twice, and an option in the middle (`a(?i)b|c`) reaches to the end of its group, alternatives included.
//!
//! Known to differ: `^` matches behind a newline that ends the text, `\R` is not atomic, `\X` takes a character and its
//! marks, letters do not fold to several (`ß` and `ss`).

use super::super::cut::Special;
use super::class::{self, push_char};
use super::cursor::Cursor;
use super::delim::Delimited;
use super::error::RegexError;
use super::escape::{self, Escape, Target};
use super::piece::{Piece, Translated};
use super::posix::Range;

/// Groups nested deeper than this are refused.
const MAX_DEPTH: usize = 200;

/// The options in force at a place.
#[derive(Debug, Clone, Copy, Default)]
struct Options {
    ignore_case: bool,
    dot_all: bool,
    extended: bool,
    range: Range,
}

/// A group that is open: what is in force after its end, how many parentheses its end closes, where it began.
struct Open {
    outer: Options,
    closes: usize,
    piece: usize,
    at: usize,
}

struct Translator<'a> {
    cursor: Cursor<'a>,
    out: Translated,
    options: Options,
    /// The groups around this place; the first stands for the whole pattern.
    open: Vec<Open>,
    /// Where the thing begins that a quantifier here would repeat.
    atom: Option<usize>,
    groups: usize,
    /// Start of the construct being read.
    at: usize,
}

/// Translates a pattern.
pub(super) fn translate(source: &Delimited<'_>) -> Result<Translated, RegexError> {
    let plain = Options::default();
    let mut t = Translator {
        cursor: Cursor::new(source.pattern, source.offset),
        out: Translated::default(),
        options: plain,
        open: vec![Open { outer: plain, closes: 0, piece: 0, at: 0 }],
        atom: None,
        groups: 0,
        at: 0,
    };
    let (ignore_case, dot_all, extended) = (source.ignore_case, source.dot_all, source.extended);
    t.isolated(Options { ignore_case, dot_all, extended, ..plain });
    while let Some(c) = t.cursor.peek() {
        t.at = t.cursor.pos();
        t.cursor.next();
        t.construct(c)?;
    }
    let closes = match t.open.as_slice() {
        [whole] => whole.closes,
        [.., open] => return Err(t.cursor.error(open.at, "group without its closing parenthesis")),
        [] => 0,
    };
    t.text(")".repeat(closes));
    t.out.pieces.iter_mut().for_each(|(place, _)| *place += source.offset);
    Ok(t.out)
}

impl Translator<'_> {
    fn push(&mut self, piece: Piece) {
        self.out.pieces.push((self.at, piece));
    }

    fn text(&mut self, text: impl Into<String>) {
        self.push(Piece::Text(text.into()));
    }

    /// Pushes something that a quantifier can repeat.
    fn atom(&mut self, piece: Piece) {
        self.atom = Some(self.out.pieces.len());
        self.push(piece);
    }

    fn literal(&mut self, c: char) {
        let mut text = String::new();
        push_char(&mut text, c);
        self.atom(Piece::Text(text));
    }

    fn error<T>(&self, message: impl Into<String>) -> Result<T, RegexError> {
        Err(self.cursor.error(self.at, message))
    }

    fn construct(&mut self, c: char) -> Result<(), RegexError> {
        match c {
            '\\' => self.escape()?,
            '[' => {
                let class = class::parse(&mut self.cursor, self.options.range)?;
                self.atom(Piece::Text(class));
            }
            '(' => self.group()?,
            ')' => self.close()?,
            '|' => {
                self.text("|");
                self.atom = None;
            }
            '.' | '^' | '$' => self.atom(Piece::Text(c.into())),
            '*' | '+' | '?' => self.quantifier(c.into(), false)?,
            '{' => match self.interval() {
                Some((text, fixed)) => self.quantifier(text, fixed)?,
                None => self.literal('{'),
            },
            '#' if self.options.extended => {
                if self.cursor.until('\n').is_none() {
                    self.cursor.seek(self.cursor.pos() + self.cursor.rest().len());
                }
            }
            _ if self.options.extended && c.is_ascii_whitespace() => {}
            _ => self.literal(c),
        }
        Ok(())
    }

    fn escape(&mut self) -> Result<(), RegexError> {
        let piece = match escape::parse(&mut self.cursor, false, self.options.range, self.groups)? {
            Escape::Char(c) => {
                self.literal(c);
                return Ok(());
            }
            Escape::Byte(byte) => Piece::Text(format!(r"(?-u:\x{byte:02X})")),
            // Sets by escape do not take part in case folding: under (?i) \w would otherwise gain two characters.
            Escape::Set { content, negated } => {
                let caret = if negated { "^" } else { "" };
                let set = format!("[{caret}{content}]");
                Piece::Text(if self.options.ignore_case { format!("(?-i:{set})") } else { set })
            }
            Escape::Syntax(text) => Piece::Text(text.to_owned()),
            Escape::SemiEnd => {
                self.atom(Piece::Special(Special::SemiEnd));
                self.text(")");
                return Ok(());
            }
            Escape::Keep => Piece::Fancy(r"\K"),
            Escape::BackRef(target) => Piece::BackRef { target, opened: self.groups, test: false },
            Escape::Call(target) => Piece::Call { target, opened: self.groups },
        };
        self.atom(piece);
        Ok(())
    }

    /// `{n,m}` behind its brace, written as `regex` has it, and whether it is `{n}`; `None` when it is no interval.
    fn interval(&mut self) -> Option<(String, bool)> {
        let start = self.cursor.pos();
        let found = self.read_interval();
        if found.is_none() {
            self.cursor.seek(start);
        }
        found
    }

    fn read_interval(&mut self) -> Option<(String, bool)> {
        let c = &mut self.cursor;
        let low = c.number(10, 6);
        if c.eat("}") {
            return low.map(|low| (format!("{{{low}}}"), true));
        }
        if !c.eat(",") {
            return None;
        }
        let high = c.number(10, 6);
        if !c.eat("}") {
            return None;
        }
        match (low, high) {
            (None, None) => None,
            (low, None) => Some((format!("{{{},}}", low.unwrap_or(0)), false)),
            (low, Some(high)) => Some((format!("{{{},{high}}}", low.unwrap_or(0)), false)),
        }
    }

    /// A quantifier behind the current atom; `fixed` for `{n}`, which has no lazy form: `a{2}?` is `(?:a{2})?`.
    fn quantifier(&mut self, text: String, fixed: bool) -> Result<(), RegexError> {
        let Some(atom) = self.atom else { return self.error("nothing here to repeat") };
        let interval = text.starts_with('{');
        if fixed && self.cursor.eat("?") {
            self.wrap(atom, Piece::Text("(?:".to_owned()), &text);
            self.text("?");
        } else if self.cursor.eat("?") {
            self.text(text + "?");
        } else if !interval && self.cursor.eat("+") {
            self.wrap(atom, Piece::Special(Special::Atomic), &text);
        } else {
            self.text(text);
        }
        Ok(())
    }

    /// Puts the atom and its quantifier into a group.
    fn wrap(&mut self, atom: usize, open: Piece, quantifier: &str) {
        let place = self.out.pieces.get(atom).map_or(self.at, |&(place, _)| place);
        self.out.pieces.insert(atom, (place, open));
        self.text(format!("{quantifier})"));
    }

    fn group(&mut self) -> Result<(), RegexError> {
        if self.open.len() > MAX_DEPTH {
            return self.error("groups are nested too deeply");
        }
        if !self.cursor.eat("?") {
            self.groups += 1;
            self.open(Piece::Group(None));
            return Ok(());
        }
        let ahead = |negative| Piece::Special(Special::Ahead { negative });
        let behind = |negative| Piece::Special(Special::Behind { negative });
        let piece = if self.cursor.eat(":") {
            Piece::Text("(?:".to_owned())
        } else if self.cursor.eat(">") {
            Piece::Special(Special::Atomic)
        } else if self.cursor.eat("=") {
            ahead(false)
        } else if self.cursor.eat("!") {
            ahead(true)
        } else if self.cursor.eat("<=") {
            behind(false)
        } else if self.cursor.eat("<!") {
            behind(true)
        } else if self.cursor.eat("~") {
            Piece::Fancy("(?~")
        } else if self.cursor.eat("<") || self.cursor.eat("P<") {
            return self.named('>');
        } else if self.cursor.eat("'") {
            return self.named('\'');
        } else if self.cursor.eat("(") {
            return self.condition();
        } else if self.cursor.eat("#") {
            return match self.cursor.until(')') {
                Some(_) => Ok(()),
                None => self.error("comment without its closing parenthesis"),
            };
        } else {
            return self.inline_options();
        };
        self.open(piece);
        Ok(())
    }

    fn open(&mut self, piece: Piece) {
        self.open.push(Open { outer: self.options, closes: 1, piece: self.out.pieces.len(), at: self.at });
        self.push(piece);
        self.atom = None;
    }

    fn close(&mut self) -> Result<(), RegexError> {
        match self.open.pop() {
            Some(group) if !self.open.is_empty() => {
                self.text(")".repeat(group.closes));
                self.options = group.outer;
                self.atom = Some(group.piece);
                Ok(())
            }
            _ => self.error("closing parenthesis without its group"),
        }
    }

    fn named(&mut self, close: char) -> Result<(), RegexError> {
        let name = match self.cursor.until(close) {
            Some(name) if !name.is_empty() && !name.contains(['(', ')']) => name,
            _ => return self.error("group name is empty or without its end"),
        };
        let index = self.out.names.iter().position(|known| known == name).unwrap_or_else(|| {
            self.out.names.push(name.to_owned());
            self.out.names.len() - 1
        });
        self.groups += 1;
        self.open(Piece::Group(Some(index)));
        Ok(())
    }

    /// `(?(1)yes|no)`, `(?(<name>)yes|no)`, the second parenthesis read already.
    fn condition(&mut self) -> Result<(), RegexError> {
        let target = match self.cursor.peek() {
            Some('<' | '\'') => escape::target(&mut self.cursor, self.at)?,
            _ => match self.cursor.number(10, 4) {
                Some(n) => Target::Number(n),
                None => return self.error("condition without a group"),
            },
        };
        if !self.cursor.eat(")") {
            return self.error("condition without its closing parenthesis");
        }
        self.open(Piece::BackRef { target, opened: self.groups, test: true });
        Ok(())
    }

    /// `(?imx-imx)` and `(?imx-imx:…)`, from the first letter on.
    fn inline_options(&mut self) -> Result<(), RegexError> {
        let (mut options, mut on) = (self.options, true);
        loop {
            match self.cursor.next() {
                Some('-') if on => on = false,
                Some('i') => options.ignore_case = on,
                Some('m') => options.dot_all = on,
                Some('x') => options.extended = on,
                Some('d') if on => options.range = Range::Ruby,
                Some('a') if on => options.range = Range::Ascii,
                Some('u') if on => options.range = Range::Unicode,
                Some(')') => {
                    self.isolated(options);
                    return Ok(());
                }
                Some(':') => {
                    self.open(Piece::Text(options.open().to_owned()));
                    self.options = options;
                    return Ok(());
                }
                _ => return self.error("unknown kind of group"),
            }
        }
    }

    /// Options set in the middle: they reach to the end of the enclosing group.
    fn isolated(&mut self, options: Options) {
        self.text(options.open());
        self.options = options;
        self.atom = None;
        if let Some(group) = self.open.last_mut() {
            group.closes += 1;
        }
    }
}

impl Options {
    /// The opening of a group under these options.
    fn open(self) -> &'static str {
        match (self.ignore_case, self.dot_all) {
            (true, true) => "(?is:",
            (true, false) => "(?i-s:",
            (false, true) => "(?s-i:",
            (false, false) => "(?-is:",
        }
    }
}

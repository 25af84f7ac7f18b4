//! A translated pattern before it is written out for one of the engines.

use std::fmt::Write as _;

use super::super::cut::Special;
use super::error::RegexError;
use super::escape::Target;

/// One step of the translation.
#[derive(Debug, Clone)]
pub(super) enum Piece {
    /// `regex` syntax, the same for all engines.
    Text(String),
    /// The opening of a group that captures: its name, or `None` for plain parentheses. A `)` text closes it.
    Group(Option<usize>),
    /// The opening of a special group. A `)` text closes it.
    Special(Special),
    /// Syntax only the last resort understands: `\K`, absence, conditions.
    Fancy(&'static str),
    /// A back-reference, as a condition's test when `test` is set.
    BackRef { target: Target, opened: usize, test: bool },
    /// A group called as a subroutine.
    Call { target: Target, opened: usize },
}

/// For which engine a pattern is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Flavour {
    /// For `regex`; not possible with specials.
    Plain,
    /// For lowering: parsed by `regex-syntax`, groups called `g1`… and specials as groups called `s0`….
    Shadow,
    /// For `fancy-regex`.
    Fancy,
}

/// A translated pattern: its pieces with their places in what the user wrote.
#[derive(Debug, Clone, Default)]
pub(super) struct Translated {
    pub(super) pieces: Vec<(usize, Piece)>,
    /// Names of groups in order of appearance, each once.
    pub(super) names: Vec<String>,
}

/// One written pattern and the way back from its bytes to the user's.
pub(super) struct Written {
    pub(super) text: String,
    places: Vec<(usize, usize)>,
}

impl Written {
    /// The place in the user's pattern of the byte `at` of `text`.
    pub(super) fn place(&self, at: usize) -> usize {
        let next = self.places.partition_point(|&(written, _)| written <= at);
        self.places.get(next.saturating_sub(1)).map_or(0, |&(_, user)| user)
    }
}

impl Translated {
    /// Whether plain parentheses capture: as in Ruby only when no group has a name.
    fn plain_captures(&self) -> bool {
        self.names.is_empty()
    }

    /// For each group from 1 on, the index of its name.
    pub(super) fn groups(&self) -> Vec<Option<usize>> {
        let plain = self.plain_captures();
        let opened =
            self.pieces.iter().filter_map(|(_, p)| if let Piece::Group(name) = p { Some(*name) } else { None });
        opened.filter(|name| plain || name.is_some()).collect()
    }

    /// The specials, as the names in the shadow number them.
    pub(super) fn specials(&self) -> Vec<Special> {
        self.pieces.iter().filter_map(|(_, p)| if let Piece::Special(s) = p { Some(*s) } else { None }).collect()
    }

    /// Whether there is something only `fancy-regex` can do, even by lowering.
    pub(super) fn is_fancy(&self) -> bool {
        self.pieces.iter().any(|(_, p)| matches!(p, Piece::Fancy(_) | Piece::BackRef { .. } | Piece::Call { .. }))
    }

    /// Writes the pattern for one engine.
    pub(super) fn write(&self, flavour: Flavour) -> Result<Written, RegexError> {
        // `^` and `$` are always anchors of lines in Ruby.
        let mut written = Written { text: String::from("(?m)"), places: Vec::new() };
        let (mut group, mut special) = (0, 0);
        for (place, piece) in &self.pieces {
            let text = &mut written.text;
            written.places.push((text.len(), *place));
            match piece {
                Piece::Text(piece) => text.push_str(piece),
                Piece::Group(None) if !self.plain_captures() => text.push_str("(?:"),
                Piece::Group(_) => {
                    group += 1;
                    match flavour {
                        Flavour::Shadow => _ = write!(text, "(?P<g{group}>"),
                        _ => text.push('('),
                    }
                }
                Piece::Special(found) => {
                    match flavour {
                        Flavour::Fancy => text.push_str(fancy_open(*found)),
                        _ => _ = write!(text, "(?P<s{special}>"),
                    }
                    special += 1;
                }
                Piece::Fancy(piece) => text.push_str(piece),
                Piece::BackRef { target, opened, test } => {
                    let numbers = self.resolve(target, *opened, *place)?;
                    if *test {
                        let last = numbers.first().copied().unwrap_or(0);
                        _ = write!(text, "(?({last})");
                    } else {
                        // The last group of a name is tried first.
                        let all: Vec<String> = numbers.iter().map(|n| format!(r"\{n}")).collect();
                        _ = write!(text, "(?:{})", all.join("|"));
                    }
                }
                Piece::Call { target, opened } => {
                    let numbers = if matches!(target, Target::Number(0)) {
                        vec![0]
                    } else {
                        self.resolve(target, *opened, *place)?
                    };
                    if numbers.len() != 1 {
                        return Err(RegexError::new(*place, "call of a name that several groups have"));
                    }
                    _ = write!(text, r"\g<{}>", numbers.first().copied().unwrap_or(0));
                }
            }
        }
        Ok(written)
    }

    /// The numbers of the groups a reference means, the last one first.
    fn resolve(&self, target: &Target, opened: usize, place: usize) -> Result<Vec<usize>, RegexError> {
        let groups = self.groups();
        let number = match target {
            Target::Name(name) => {
                let index = self.names.iter().position(|known| known == name);
                let hit = |n: &usize| index.is_some() && groups.get(n - 1) == Some(&index);
                let hits: Vec<usize> = (1..=groups.len()).rev().filter(hit).collect();
                if hits.is_empty() {
                    return Err(RegexError::new(place, format!("no group is called '{name}'")));
                }
                return Ok(hits);
            }
            _ if !self.plain_captures() => {
                return Err(RegexError::new(place, "groups have names here: refer to them by name"));
            }
            Target::Number(n) => *n as usize,
            Target::Relative(back) if *back < 0 => {
                (opened + 1).checked_sub(back.unsigned_abs() as usize).unwrap_or(usize::MAX)
            }
            Target::Relative(ahead) => opened + ahead.unsigned_abs() as usize,
        };
        if number == 0 || number > groups.len() {
            return Err(RegexError::new(place, "reference to a group that is not there"));
        }
        Ok(vec![number])
    }
}

fn fancy_open(special: Special) -> &'static str {
    match special {
        Special::Atomic => "(?>",
        Special::Ahead { negative: false } => "(?=",
        Special::Ahead { negative: true } => "(?!",
        Special::Behind { negative: false } => "(?<=",
        Special::Behind { negative: true } => "(?<!",
        Special::SemiEnd => r"(?=\n?\z",
    }
}

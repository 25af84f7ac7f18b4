//! A `[MULTILINE_PARSER]` section: its keys, and the definition they make.

use super::joiner::is_true;
use super::rules::{RuleText, Rules};
use crate::conf::{Many, Section, check};
use crate::error::Diags;
use crate::event::{Cells, Key};
use crate::parse::{ParserDef, ParserSet};
use std::rc::Rc;
use std::time::Duration;

/// The built-in definitions, and the parsers that they use, as a file.
pub const STOCK: &str = include_str!("stock.conf");

crate::conf_enum! {
    /// How the lines of a record are known.
    pub enum Type {
        /// By rules of states.
        Regex = "regex",
        /// By how a text ends.
        EndsWith = "endswith" | "ends_with",
        /// By a text as a whole.
        Equal = "equal" | "eq",
    }
}

crate::config! {
    /// The keys of a `[MULTILINE_PARSER]` section.
    pub struct MultilineConf {
        /// The name under which `Multiline.Parser` asks for it.
        name: String => "name" required,
        /// How the lines of a record are known: by the `rule`s of states, by how the pattern's text ends, or by what it is.
        type_: Type => "type" required,
        /// `endswith` and `equal`: the text; `\n` and `\t` are known. A line with it is the last of a record.
        match_string: Option<String> => "match_string",
        /// A line with the text goes on, one without it is the last.
        negate: bool => "negate" = "off",
        /// How long a record waits for its next line, in milliseconds.
        flush_timeout: u32 => "flush_timeout" = "4000",
        /// The field whose texts are joined; without a `parser` it is the line.
        key_content: Option<String> => "key_content",
        /// The field that `match_string` is looked for in; as `key_content` when not given.
        key_pattern: Option<String> => "key_pattern",
        /// The field that tells streams apart whose lines are mixed.
        key_group: Option<String> => "key_group",
        /// The parser for each line.
        parser: Option<String> => "parser",
        /// For type `regex`, may be repeated: the states in which it is tried (`start_state` begins a record), what a line looks
        /// like, the state after it.
        rule: Many<RuleText> => "rule",
    }
}

/// How the lines of a record are known.
#[derive(Debug)]
pub(super) enum Kind {
    Rules(Rules),
    /// The last line ends with the text, or is the text.
    Last {
        text: Vec<u8>,
        whole: bool,
        negate: bool,
    },
    /// A parser takes the first line; others may add fields from the lines that follow.
    First {
        others: Vec<ParserDef>,
    },
    /// Lines of Docker's JSON files: a text goes on until it ends in a line end, and a record until a line comes that a parser
    /// takes as a first one.
    Docker {
        first: ParserDef,
    },
    /// Records are pieces of messages that Docker's log drivers cut, and say so in fields.
    Pieces(PieceKeys),
}

/// The fields of such a piece.
#[derive(Debug)]
pub(super) struct PieceKeys {
    /// That it is one.
    pub(super) is: Key,
    /// Of which message.
    pub(super) id: Key,
    /// That it is the last one.
    pub(super) last: Key,
}

/// A definition, checked and compiled; clones share it.
#[derive(Debug, Clone)]
pub struct MultilineDef(Rc<Def>);

#[derive(Debug)]
pub(super) struct Def {
    pub(super) kind: Kind,
    pub(super) flush: Duration,
    pub(super) content: Option<Key>,
    pub(super) pattern: Option<Key>,
    pub(super) group: Option<Key>,
    pub(super) parser: Option<ParserDef>,
}

impl MultilineDef {
    /// Reads and compiles a section; everything that is wrong with it is reported before `None` comes back.
    pub fn new(section: &Section, parsers: &ParserSet, diags: &mut Diags) -> Option<Self> {
        let known = check::keys(section, &[MultilineConf::TABLE], diags);
        let conf = MultilineConf::load(section, diags)?;
        let parser = match (&conf.parser, section.get("parser")) {
            (Some(name), Some(entry)) => {
                Some(parsers.require(name, &section.who(), &entry.value_place, diags)).map(|def| def.ok_or(()))
            }
            _ => None,
        };
        let kind = kind(&conf, section, diags);
        let parser = parser.transpose().ok()?;
        let key = |name: &Option<String>| name.as_deref().map(Key::of);
        let (content, group) = (key(&conf.key_content), key(&conf.key_group));
        let pattern = key(&conf.key_pattern).or(content);
        if parser.is_none() && (content.is_some() || group.is_some() || conf.key_pattern.is_some()) {
            // For records that have fields already it is meant so: the filter.
            log::debug!("{} key_content and its like need a parser where lines are joined", section.who());
        }
        let flush = Duration::from_millis(conf.flush_timeout.max(1).into());
        known.then_some(())?;
        Some(Self(Rc::new(Def { kind: kind?, flush, content, pattern, group, parser })))
    }

    /// The older way to say it: a line that `first` takes begins a record; what the following lines hold is added to it, as
    /// fields where one of `others` takes them, else to its last text.
    pub fn of_first_line(first: ParserDef, others: Vec<ParserDef>, flush: Duration) -> Self {
        let kind = Kind::First { others };
        Self(Rc::new(Def { kind, flush, content: None, pattern: None, group: None, parser: Some(first) }))
    }

    /// Lines of Docker's JSON files, taken apart by `parser`: texts under `log` that do not end in a line end go on. With `first`,
    /// which is shown the lines as they stand in the file, whole texts are joined, too, up to the next line that it takes.
    pub fn of_docker(parser: ParserDef, first: Option<ParserDef>, flush: Duration) -> Self {
        let kind = match first {
            Some(first) => Kind::Docker { first },
            None => Kind::Last { text: b"\n".to_vec(), whole: false, negate: false },
        };
        let (content, group) = (Some(Key::of("log")), Some(Key::of("stream")));
        Self(Rc::new(Def { kind, flush, content, pattern: content, group, parser: Some(parser) }))
    }

    /// For records that are pieces of messages cut by Docker's log drivers: `partial_message`, `partial_id`, `partial_last`.
    pub fn of_pieces() -> Self {
        let keys =
            PieceKeys { is: Key::of("partial_message"), id: Key::of("partial_id"), last: Key::of("partial_last") };
        let (kind, flush) = (Kind::Pieces(keys), Duration::from_secs(2));
        Self(Rc::new(Def { kind, flush, content: None, pattern: None, group: None, parser: None }))
    }

    pub(super) fn def(&self) -> &Def {
        &self.0
    }
}

impl Def {
    /// Whether a record may have to be joined with others.
    pub(super) fn concerns(&self, cells: Cells<'_>) -> bool {
        match &self.kind {
            Kind::Pieces(keys) => is_true(cells.find(keys.is)),
            _ => true,
        }
    }
}

fn kind(conf: &MultilineConf, section: &Section, diags: &mut Diags) -> Option<Kind> {
    let place = |key: &str| section.get(key).map_or(&section.place, |e| &e.value_place).clone();
    if conf.type_ == Type::Regex {
        if conf.match_string.is_some() {
            let what = format!("{} match_string has no effect with type regex", section.who());
            diags.warn(&place("match_string"), what);
        }
        return match Rules::new(&conf.rule.0) {
            Ok(rules) => {
                for at in rules.dead_ends() {
                    if let Some(item) = conf.rule.0.get(at) {
                        let what = format!("{} no rule is tried in the state that this rule leads to", section.who());
                        diags.warn_help(
                            &item.place,
                            what,
                            "A record ends with its line. Is the state spelled as elsewhere?",
                        );
                    }
                }
                Some(Kind::Rules(rules))
            }
            Err(bad) => {
                let at = bad.place.unwrap_or_else(|| place("type"));
                diags.error_help(&at, format!("{} {}", section.who(), bad.why), bad.help);
                None
            }
        };
    }
    if let Some(rule) = conf.rule.0.first() {
        diags.warn(&rule.place, format!("{} a rule has no effect without type regex", section.who()));
    }
    let Some(text) = &conf.match_string else {
        let what = format!("{} type {} needs a match_string", section.who(), section.value("type").unwrap_or_default());
        diags.error_help(&place("type"), what, "Add for example: match_string F");
        return None;
    };
    let text = text.replace("\\n", "\n").replace("\\t", "\t").into_bytes();
    Some(Kind::Last { text, whole: conf.type_ == Type::Equal, negate: conf.negate })
}

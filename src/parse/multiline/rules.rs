//! Rules of states: which lines begin a record, and which go on with it.

use crate::conf::value::words;
use crate::conf::{FromConf, Item};
use crate::error::Place;
use crate::parse::regex::{Regex, RegexError};

/// The state in which a record begins.
const START: &str = "start_state";

/// The text of one `rule`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RuleText {
    /// The states in which it is tried.
    from: Vec<String>,
    /// What a line of it looks like.
    regex: String,
    /// The state after such a line.
    to: String,
}

impl FromConf for RuleText {
    const KIND: &'static str = "states, regex, next state";
    const EXAMPLE: &'static str = r#""start_state" "/^Traceback/" "frame""#;

    fn from_conf(text: &str) -> Result<Self, String> {
        let all = words(text, usize::MAX)?;
        let [from, regex, to] = <[String; 3]>::try_from(all)
            .map_err(|all| format!("a rule has three parts in quotes ({}), not {}", Self::EXAMPLE, all.len()))?;
        let from: Vec<_> = from.split(',').map(|s| s.trim().to_owned()).filter(|s| !s.is_empty()).collect();
        if from.is_empty() {
            return Err("a rule needs a state to be tried in".into());
        }
        Ok(Self { from, regex, to })
    }
}

/// What is wrong with a set of rules, and where.
#[derive(Debug)]
pub struct BadRule {
    /// The rule's place, when it is about one.
    pub place: Option<Place>,
    /// What.
    pub why: String,
    /// What to do.
    pub help: &'static str,
}

/// A compiled set of rules.
#[derive(Debug)]
pub struct Rules(Vec<Rule>);

#[derive(Debug)]
struct Rule {
    regex: Regex,
    begins: bool,
    /// Rules that are tried on the next line.
    next: Vec<usize>,
    /// It leads to the start: this line ended a record.
    ends: bool,
    /// It is shown a text with its line end.
    with_end: bool,
}

/// What a line is to a record that may be open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// It goes on with the record; the rule that says so.
    GoesOn(usize),
    /// It begins a record.
    Begins(usize),
    /// Neither.
    Neither,
}

impl Rules {
    /// Compiles rules.
    ///
    /// # Errors
    /// The first thing that is wrong: a pattern, or that no rule begins a record.
    pub fn new(texts: &[Item<RuleText>]) -> Result<Self, BadRule> {
        let is_start = |s: &String| s == START;
        if !texts.iter().any(|t| t.value.from.iter().any(is_start)) {
            let help = r#"Add for example: rule "start_state" "/^\d{4}-/" "cont""#;
            return Err(BadRule { place: None, why: "no rule begins a record (start_state)".into(), help });
        }
        let mut rules = Vec::with_capacity(texts.len());
        for Item { value: text, place, .. } in texts {
            let bad = |e: RegexError| BadRule {
                place: Some(place.clone()),
                why: format!("the rule's regex: {}", e.message),
                help: "Correct the pattern; its syntax is Ruby's.",
            };
            let next: Vec<usize> =
                (0..texts.len()).filter(|&i| texts.get(i).is_some_and(|t| t.value.from.contains(&text.to))).collect();
            let ends = is_start(&text.to);
            let begins = text.from.iter().any(is_start);
            let with_end = names_line_end(&text.regex);
            rules.push(Rule { regex: Regex::new(&text.regex).map_err(bad)?, begins, next, ends, with_end });
        }
        Ok(Self(rules))
    }

    /// Rules that lead to a state in which no rule is tried: a record ends with the line they take.
    pub fn dead_ends(&self) -> impl Iterator<Item = usize> {
        self.0.iter().enumerate().filter(|(_, r)| r.next.is_empty()).map(|(i, _)| i)
    }

    /// What `text` is after a line that rule `last` took.
    pub fn step(&self, last: Option<usize>, text: &[u8]) -> Step {
        // Behind a line end at the end of a text there is no line in Ruby's expressions, while `^` finds one in ours.
        let bare = text.strip_suffix(b"\n").unwrap_or(text);
        let takes = |i: usize| self.0.get(i).is_some_and(|r| r.regex.is_match(if r.with_end { text } else { bare }));
        let next = last.and_then(|i| self.0.get(i)).map_or(&[][..], |r| &r.next);
        if let Some(&rule) = next.iter().find(|&&i| takes(i)) {
            return Step::GoesOn(rule);
        }
        match (0..self.0.len()).find(|&i| self.0.get(i).is_some_and(|r| r.begins) && takes(i)) {
            Some(rule) => Step::Begins(rule),
            None => Step::Neither,
        }
    }

    /// Whether a record is complete with a line that this rule took: the next line begins one.
    pub fn ends(&self, rule: usize) -> bool {
        self.0.get(rule).is_some_and(|r| r.ends)
    }
}

/// Whether a pattern asks for a line end: `\n` that is neither in a class nor optional.
fn names_line_end(pattern: &str) -> bool {
    let mut chars = pattern.chars().peekable();
    let mut in_class = false;
    while let Some(c) = chars.next() {
        match c {
            '[' => in_class = true,
            ']' => in_class = false,
            '\\' if chars.next() == Some('n') && !in_class && !matches!(chars.peek(), Some('?' | '*')) => return true,
            _ => {}
        }
    }
    false
}

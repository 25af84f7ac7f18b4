//! `Format regex`: the named groups of a pattern become fields.

use super::cut::UNSET;
use super::decode_field::DecodeFields;
use super::fields::Fields;
use super::regex::{Regex, RegexError, Slots};
use super::types::{Type, Types};
use super::{Parsed, Parser};
use crate::event::{Batch, Cell, Key, Span};
use crate::time::Time;
use std::rc::Rc;

/// A compiled pattern with what becomes of its groups; shared by all parsers made from one definition.
#[derive(Debug)]
pub struct Pattern {
    regex: Regex,
    groups: Vec<Group>,
    skip_empty: bool,
}

#[derive(Debug)]
struct Group {
    key: Key,
    becomes: Becomes,
    /// The group's number; [`SHARED`] where several have its name.
    number: u32,
    /// The place of its name among those of the pattern.
    place: u32,
}

const SHARED: u32 = u32::MAX;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Becomes {
    Text,
    Typed(Type),
    Time,
}

impl Pattern {
    /// Compiles `pattern`; `time_key` is the field that holds the time, when it is to be read.
    ///
    /// # Errors
    /// Those of [`Regex::new`].
    pub fn new(pattern: &str, types: &Types, time_key: Option<Key>, skip_empty: bool) -> Result<Self, RegexError> {
        let regex = Regex::new(pattern)?;
        let group = |(place, name): (usize, &String)| {
            let key = Key::of(name);
            let (&number, others) = regex.groups_of(place).split_first()?;
            let becomes = match types.of(key) {
                _ if Some(key) == time_key => Becomes::Time,
                Type::Text => Becomes::Text,
                other => Becomes::Typed(other),
            };
            let number = if others.is_empty() { number as u32 } else { SHARED };
            Some(Group { key, becomes, number, place: place as u32 })
        };
        let groups = regex.names().iter().enumerate().filter_map(group).collect();
        Ok(Self { regex, groups, skip_empty })
    }

    /// Whether no group has a name: such a pattern makes no records.
    pub fn is_nameless(&self) -> bool {
        self.groups.is_empty()
    }
}

/// Parses text by a pattern that is searched for in it. Fields stand in the order in which their names first appear in
/// the pattern; empty ones are left out unless told otherwise.
#[derive(Debug)]
pub struct RegexParser {
    pub(super) pattern: Rc<Pattern>,
    pub(super) fields: Fields,
    pub(super) decoders: Option<DecodeFields>,
    pub(super) slots: Slots,
}

impl Parser for RegexParser {
    fn parse(&mut self, batch: &mut Batch, text: Span, now: Time) -> Parsed {
        let Pattern { regex, groups, skip_empty } = &*self.pattern;
        if groups.is_empty() || !regex.captures(batch.arena().get(text), &mut self.slots) {
            return Parsed::Miss;
        }
        let mark = batch.begin();
        let mut time = None;
        let (arena, tape) = batch.parts_mut();
        let slots = self.slots.spans();
        tape.reserve(groups.len());
        for group in groups {
            let (start, end) = match slots.get(group.number as usize) {
                Some(&slot) => part(slot),
                // Nothing is at that number: several groups share the name.
                None => named(regex, &self.slots, group.place),
            };
            if start == end && *skip_empty {
                continue;
            }
            // A span that could not be is an empty one.
            let span = Span { at: text.at.wrapping_add(start), len: end.wrapping_sub(start) };
            // Each arm pushes for itself: a cell that is first put together on the stack costs a stalled load.
            match group.becomes {
                Becomes::Text => tape.push(Cell::str(group.key, span, 0)),
                Becomes::Time => {
                    if self.fields.read_time(arena.get(span), now, &mut time) {
                        tape.push(Cell::str(group.key, span, 0));
                    }
                }
                Becomes::Typed(kind) => {
                    let cell = self.fields.cell(group.key, kind, arena.get(span), span, now);
                    tape.push(cell);
                }
            }
        }
        if let Some(decoders) = &mut self.decoders {
            decoders.apply(batch, mark);
        }
        Parsed::Hit(time)
    }
}

/// Start and end of a group; an empty one where it took no part. A start alone does not count.
#[inline(always)]
fn part((start, end): (u32, u32)) -> (u32, u32) {
    if end == UNSET { (0, 0) } else { (start, end) }
}

#[cold]
fn named(regex: &Regex, slots: &Slots, place: u32) -> (u32, u32) {
    regex.named(slots, place as usize).map_or((0, 0), |(start, end)| (start as u32, end as u32))
}

#[cfg(test)]
mod tests {
    use crate::parse::tests::check;

    #[test]
    fn named_groups_in_the_order_of_their_names() {
        let conf = [("Format", "regex"), ("Regex", r"(?<b>\w+)-(?<a>\w*)(?:;(?<c>.*))?")];
        check(&conf, "!! x-y;z", r#"- {"b":"x","a":"y","c":"z"}"#);
        check(&conf, "x-", r#"- {"b":"x"}"#);
        check(&conf, "x", "miss");
        let keep = [&conf[..], &[("Skip_Empty_Values", "off")]].concat();
        check(&keep, "x-", r#"- {"b":"x","a":"","c":""}"#);
    }

    #[test]
    fn a_name_used_twice_is_one_field() {
        let conf = [("Format", "regex"), ("Regex", r"^(?:a=(?<v>\d+)|b=(?<v>\w+)) (?<w>.*)$")];
        check(&conf, "a=1 x", r#"- {"v":"1","w":"x"}"#);
        check(&conf, "b=z x", r#"- {"v":"z","w":"x"}"#);
    }

    #[test]
    fn a_pattern_without_names_never_matches() {
        check(&[("Format", "regex"), ("Regex", r"(\d+)")], "12", "miss");
    }

    #[test]
    fn types() {
        let types = "i:integer f:float b:bool h:hex s:string";
        let conf = [("Format", "regex"), ("Regex", "^(?<i>.*),(?<f>.*),(?<b>.*),(?<h>.*),(?<s>.*)$"), ("Types", types)];
        check(&conf, "12x,1.5,TRUE,ff,5", r#"- {"i":12,"f":1.5,"b":true,"h":255,"s":"5"}"#);
        check(&conf, "x,bad,perhaps,zz,", r#"- {"i":0,"f":0.0,"b":"perhaps","h":0}"#);
    }

    #[test]
    fn time() {
        let regex = r"^\[(?<time>[^\]]*)\] (?<m>.*)$";
        let conf = [("Format", "regex"), ("Regex", regex), ("Time_Format", "%Y-%m-%d %H:%M:%S %z")];
        check(&conf, "[2024-05-01 10:00:00 +0200] x", r#"1714550400.0 {"m":"x"}"#);
        check(&conf, "[nope] x", r#"- {"m":"x"}"#);
        check(&conf, "[] x", r#"- {"m":"x"}"#);
        let keep = [&conf[..], &[("Time_Keep", "on")]].concat();
        check(&keep, "[2024-05-01 10:00:00 +0200] x", r#"1714550400.0 {"time":"2024-05-01 10:00:00 +0200","m":"x"}"#);
        check(&keep, "[nope] x", r#"- {"time":"nope","m":"x"}"#);
        check(&conf[..2], "[nope] x", r#"- {"time":"nope","m":"x"}"#);
    }
}

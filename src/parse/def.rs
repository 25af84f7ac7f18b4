//! A `[PARSER]` section: its keys, and the definition they make.

use super::decode_field::{DecodeFields, DecodeRule, DecodeRules, Target};
use super::fields::Fields;
use super::json::Json;
use super::logfmt::Logfmt;
use super::ltsv::Ltsv;
use super::regex::Slots;
use super::regex_parser::{Pattern, RegexParser};
use super::time_field::{TimeField, TimeRule};
use super::types::Types;
use super::{Parsed, Parser};
use crate::conf::{Many, Section, check};
use crate::error::{Diags, Place};
use crate::event::{Batch, Key, Tag};
use crate::fmt::json_read::JsonReader;
use crate::time::Time;
use crate::time::strptime::TimeFormat;
use crate::time::zone::Zone;
use crate::util::sort;
use std::rc::Rc;

crate::conf_enum! {
    /// The forms of text that parsers read.
    pub enum Format {
        /// A pattern with named groups.
        Regex = "regex",
        /// One JSON object.
        Json = "json",
        /// `label:value` between tabs.
        Ltsv = "ltsv",
        /// `key=value` between blanks.
        Logfmt = "logfmt",
    }
}

crate::config! {
    /// The keys of a `[PARSER]` section.
    pub struct ParserConf {
        /// The name under which inputs and filters ask for the parser.
        name: String => "Name" required,
        /// The form of the text.
        format: Format => "Format" required,
        /// The pattern of a regex parser, in Ruby's syntax; each named group becomes a field.
        regex: Option<String> => "Regex",
        /// The field that holds the time of the record.
        time_key: String => "Time_Key" = "time",
        /// The form of that time, as strptime has it, with %L for fractions of a second. Without it no time is read.
        time_format: Option<String> => "Time_Format",
        /// The time stays in the record.
        time_keep: bool => "Time_Keep" = "off",
        /// The offset from UTC of times that do not name one, such as +0200.
        time_offset: Option<String> => "Time_Offset",
        /// Times that name no zone are in that of the system.
        time_system_timezone: bool => "Time_System_Timezone" = "off",
        /// The zone of times that name none, such as Europe/Berlin.
        time_zone: Option<String> => "Time_Zone",
        /// Text that is not a time is reported; if off, what could be read of it counts.
        time_strict: bool => "Time_Strict" = "on",
        /// Fields that become numbers or booleans: FIELD:TYPE, several after each other.
        types: Option<Types> => "Types",
        /// Decode the text of a field and add the result to the record; may be repeated.
        decode_field: Many<DecodeRule> => "Decode_Field",
        /// Decode the text of a field in place; may be repeated.
        decode_field_as: Many<DecodeRule> => "Decode_Field_As",
        /// Leave out fields that are empty (regex only).
        skip_empty_values: bool => "Skip_Empty_Values" = "on",
        /// Text with a key that has no value is not logfmt.
        logfmt_no_bare_keys: bool => "Logfmt_No_Bare_Keys" = "off",
    }
}

/// A parser definition, checked and compiled. Cheap to clone; all clones share the compiled pattern.
#[derive(Debug, Clone)]
pub struct ParserDef(Rc<Def>);

#[derive(Debug)]
struct Def {
    name: String,
    form: Form,
    types: Rc<Types>,
    time: Option<Rc<TimeRule>>,
    decoders: Option<Rc<DecodeRules>>,
}

#[derive(Debug)]
enum Form {
    Regex(Rc<Pattern>),
    Json,
    Ltsv,
    Logfmt { no_bare_keys: bool },
}

impl ParserDef {
    /// Reads and compiles a section; everything that is wrong with it is reported before `None` comes back.
    pub fn new(section: &Section, diags: &mut Diags) -> Option<Self> {
        let known = check::keys(section, &[ParserConf::TABLE], diags);
        let conf = ParserConf::load(section, diags)?;
        let at = At { section, diags };
        let def = Self::compile(conf, at);
        def.filter(|_| known)
    }

    fn compile(conf: ParserConf, mut at: At<'_>) -> Option<Self> {
        at.idle_keys(&conf);
        let types = Rc::new(conf.types.clone().unwrap_or_default());
        // Go on after a failure: what is wrong elsewhere is reported too.
        let time = at.time(&conf);
        let form = at.form(&conf, &types);
        let decoders = at.decoders(conf.decode_field, conf.decode_field_as);
        Some(Self(Rc::new(Def { name: conf.name, form: form?, types, time: time.ok()?, decoders })))
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// A parser for one user of the definition.
    pub fn make(&self) -> Box<dyn Parser> {
        let def = &*self.0;
        let time = def.time.as_ref().map(|rule| TimeField::new(Rc::clone(rule)));
        let decoders = def.decoders.as_ref().map(|rules| DecodeFields::new(Rc::clone(rules)));
        let fields = |time| Fields::new(Rc::clone(&def.types), time);
        match &def.form {
            Form::Regex(pattern) => Box::new(RegexParser {
                pattern: Rc::clone(pattern),
                fields: fields(time),
                decoders,
                slots: Slots::default(),
            }),
            Form::Json => Box::new(Json { reader: JsonReader::default(), time, decoders }),
            Form::Ltsv => Box::new(Ltsv { fields: fields(time), decoders }),
            Form::Logfmt { no_bare_keys } => {
                Box::new(Logfmt { fields: fields(time), decoders, no_bare_keys: *no_bare_keys })
            }
        }
    }

    /// Parses one line alone: the time found in it, and a batch with the one record (at that time, else at `now`).
    /// For tests; inputs use [`ParserDef::make`].
    pub fn parse_line(&self, line: &[u8], now: Time) -> Option<(Option<Time>, Batch)> {
        let mut batch = Batch::new(Tag::new("line"));
        let text = batch.arena_mut().push(line);
        let mark = batch.begin();
        match self.make().parse(&mut batch, text, now) {
            Parsed::Hit(time) => {
                batch.finish(mark, time.unwrap_or(now));
                Some((time, batch))
            }
            Parsed::Miss => None,
        }
    }
}

/// A section whose keys are being put together, and where its errors go.
struct At<'a> {
    section: &'a Section,
    diags: &'a mut Diags,
}

impl At<'_> {
    fn place(&self, key: &str) -> &Place {
        self.section.get(key).map_or(&self.section.place, |e| &e.value_place)
    }

    fn refuse<T>(&mut self, key: &str, what: impl std::fmt::Display, help: &str) -> Option<T> {
        let place = self.place(key).clone();
        self.diags.error_help(&place, format!("{} {what}", self.section.who()), help);
        None
    }

    /// Warns about keys that mean nothing beside the others.
    fn idle_keys(&mut self, conf: &ParserConf) {
        let format = conf.format;
        let mut idle = vec![];
        if format != Format::Regex {
            idle.extend([("Regex", "Format regex"), ("Skip_Empty_Values", "Format regex")]);
        }
        if format != Format::Logfmt {
            idle.push(("Logfmt_No_Bare_Keys", "Format logfmt"));
        }
        if format == Format::Json {
            idle.push(("Types", "Format regex, ltsv or logfmt: JSON has types of its own"));
        }
        if conf.time_format.is_none() {
            let keys = ["Time_Key", "Time_Keep", "Time_Offset", "Time_System_Timezone", "Time_Strict"];
            idle.extend(keys.map(|key| (key, "Time_Format")));
        }
        for (key, needs) in idle {
            let default = ParserConf::KEYS.iter().find(|k| k.name == key).and_then(|k| k.default);
            let said = self.section.get(key).filter(|e| default.is_none_or(|d| !e.value.eq_ignore_ascii_case(d)));
            if let Some(entry) = said {
                let what = format!("{} {} has no effect without {needs}", self.section.who(), entry.key);
                self.diags.warn(&entry.place, what);
            }
        }
        for item in conf.decode_field.0.iter().filter(|item| !item.value.gives_fields()) {
            let what = format!("{} {} has no effect: only json makes fields", self.section.who(), item.key);
            self.diags.warn_help(&item.place, what, "Use Decode_Field_As to decode text in its place");
        }
    }

    /// The time rule, if there is one; an error has been reported when `Err` comes back.
    fn time(&mut self, conf: &ParserConf) -> Result<Option<Rc<TimeRule>>, ()> {
        let Some(text) = &conf.time_format else {
            if conf.time_zone.is_some() {
                self.refuse::<()>(
                    "Time_Zone",
                    "Time_Zone needs a Time_Format",
                    "Add the form of the time, or remove it",
                );
                return Err(());
            }
            return Ok(None);
        };
        let key = if conf.time_zone.is_some() { "Time_Zone" } else { "Time_Offset" };
        let zone = Zone::from_keys(conf.time_offset.as_deref(), conf.time_system_timezone, conf.time_zone.as_deref());
        let zone = match zone {
            Ok(zone) => Some(zone),
            Err(why) => self.refuse(key, why, "Give one of Time_Zone, Time_Offset and Time_System_Timezone"),
        };
        let format = match TimeFormat::compile(text, zone.clone().unwrap_or_default()) {
            Ok(format) => format,
            Err(why) => {
                self.refuse::<()>(
                    "Time_Format",
                    format!("Time_Format: {why}"),
                    "Write for example: %Y-%m-%dT%H:%M:%S.%L",
                );
                return Err(());
            }
        };
        zone.ok_or(())?;
        Ok(Some(Rc::new(TimeRule {
            parser: conf.name.clone(),
            key: Key::of(&conf.time_key),
            keep: conf.time_keep,
            strict: conf.time_strict,
            format_text: text.clone(),
            format,
        })))
    }

    fn form(&mut self, conf: &ParserConf, types: &Types) -> Option<Form> {
        Some(match conf.format {
            Format::Json => Form::Json,
            Format::Ltsv => Form::Ltsv,
            Format::Logfmt => Form::Logfmt { no_bare_keys: conf.logfmt_no_bare_keys },
            Format::Regex => {
                let Some(pattern) = &conf.regex else {
                    let help = "Add for example: Regex ^(?<level>[A-Z]+) (?<message>.*)$";
                    return self.refuse("Format", "Format regex needs a Regex", help);
                };
                let time_key = conf.time_format.is_some().then(|| Key::of(&conf.time_key));
                Form::Regex(Rc::new(self.pattern(pattern, types, time_key, conf.skip_empty_values)?))
            }
        })
    }

    fn pattern(&mut self, text: &str, types: &Types, time_key: Option<Key>, skip_empty: bool) -> Option<Pattern> {
        match Pattern::new(text, types, time_key, skip_empty) {
            Ok(pattern) => {
                if pattern.is_nameless() {
                    let place = self.place("Regex").clone();
                    let what = format!("{} the Regex has no named group, so nothing will match", self.section.who());
                    self.diags.warn_help(&place, what, "Name what is to become a field: (?<name>...)");
                }
                Some(pattern)
            }
            Err(error) => {
                let mut place = self.place("Regex").clone();
                let before = text.get(..error.at).unwrap_or(text);
                if place.col > 0 {
                    place.col += before.chars().count() as u32;
                }
                // The pattern from a little before the fault on: enough to find it in.
                let start = before.char_indices().rev().nth(19).map_or(0, |(at, _)| at);
                let shown = text.get(start..).unwrap_or_default();
                let arrow = " ".repeat(before.get(start..).unwrap_or_default().chars().count());
                self.diags.error_help(
                    &place,
                    format!("{} Regex: {}", self.section.who(), error.message),
                    format!("{shown}\n    {arrow}^"),
                );
                None
            }
        }
    }

    /// The decoders of both keys in written order.
    fn decoders(&mut self, merge: Many<DecodeRule>, replace: Many<DecodeRule>) -> Option<Rc<DecodeRules>> {
        let merge = merge.into_iter().map(|item| (item.ordinal, Target::Record, item.value));
        let replace = replace.into_iter().map(|item| (item.ordinal, Target::Field, item.value));
        let mut all: Vec<_> = merge.chain(replace).collect();
        sort::by_key(&mut all, |(ordinal, ..)| *ordinal);
        let mut rules = DecodeRules::default();
        for (_, target, rule) in all {
            rules.push(target, rule);
        }
        (!rules.is_empty()).then(|| Rc::new(rules))
    }
}

//! `type_converter`: appends fields that hold others' values as another type.

use super::{Filter, FilterCx, FilterPlugin};
use crate::conf::{Item, Many, PluginInfo, SList};
use crate::event::{Accessor, Batch, Cell, Draft, Key, Span, Value};
use crate::fmt::num;
use crate::parse::pace::Pace;
use crate::parse::types::Type;
use crate::plugin::MakeCx;
use crate::util::bytes::parse_u64;

/// The plugin.
pub static PLUGIN: FilterPlugin = FilterPlugin {
    info: PluginInfo {
        name: "type_converter",
        doc: "Appends fields that hold others' values as another type.",
        keys: TypeConverterConf::KEYS,
        unserved: TypeConverterConf::UNSERVED,
        extra: &[],
    },
    make: |cx| make(cx),
};

crate::config! {
    /// Options of `type_converter`. Each rule is `KEY NEW TYPE`: the value of KEY (which may be a record accessor) is
    /// appended under NEW as int, uint, float, hex, string or bool. A value of another kind, or one that cannot be
    /// converted, is appended as it is.
    pub struct TypeConverterConf {
        /// Converts text.
        str_key: Many<SList> => "str_key",
        /// Converts an integer.
        int_key: Many<SList> => "int_key",
        /// Converts an integer without sign.
        uint_key: Many<SList> => "uint_key",
        /// Converts a number with a fraction.
        float_key: Many<SList> => "float_key",
    }
}

#[derive(Debug)]
struct TypeConverter {
    label: String,
    rules: Vec<Rule>,
    draft: Draft,
    scratch: Vec<u8>,
    pace: Pace,
}

#[derive(Debug)]
struct Rule {
    path: Accessor,
    new: Key,
    from: Source,
    to: Target,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Source {
    Str,
    Int,
    Uint,
    Float,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Target {
    Int,
    Uint,
    Float,
    Hex,
    Str,
    Bool,
}

/// A converted value; text stands in the scratch buffer.
#[derive(Debug, Clone, Copy)]
enum Made {
    Cell(Cell),
    Text,
}

fn make(cx: &mut MakeCx<'_>) -> Option<Box<dyn Filter>> {
    let conf = TypeConverterConf::load(cx.section, cx.diags)?;
    // New fields come in this order of kinds, and in written order within each.
    let mut rules = Vec::new();
    for (list, from) in [
        (conf.str_key, Source::Str),
        (conf.int_key, Source::Int),
        (conf.uint_key, Source::Uint),
        (conf.float_key, Source::Float),
    ] {
        rules.extend(list.into_iter().map(|item| rule(cx, &item, from)));
    }
    if rules.is_empty() {
        return cx.refuse("str_key", "no rules: nothing is converted", "Add for example: str_key code code_n int");
    }
    Some(Box::new(TypeConverter {
        label: cx.label(),
        rules: rules.into_iter().collect::<Option<_>>()?,
        draft: Draft::default(),
        scratch: Vec::new(),
        pace: Pace::default(),
    }))
}

fn rule(cx: &mut MakeCx<'_>, item: &Item<SList>, from: Source) -> Option<Rule> {
    let made = match &*item.value.0 {
        [path, new, to] => Accessor::parse(path)
            .and_then(|path| Ok(Rule { path, new: Key::of(new), from, to: Target::parse(to)? }))
            .map_err(|why| format!("{}: {why}", item.key)),
        words => Err(format!(
            "{}: invalid record parameters, expects 'from_key to_key type', but there are {} words",
            item.key,
            words.len()
        )),
    };
    let rule = match made {
        Ok(rule) => rule,
        Err(why) => {
            return cx.refuse_at(&item.place, why, &format!("Write for example: {} code code_2 string", item.key));
        }
    };
    if !rule.from.goes_to(rule.to) {
        cx.diags.warn(
            &item.place,
            format!("{} {}: there is no such conversion; values are copied", cx.section.who(), item.key),
        );
    }
    Some(rule)
}

impl Target {
    fn parse(word: &str) -> Result<Self, String> {
        const NAMES: [(&str, Target); 8] = [
            ("int", Target::Int),
            ("uint", Target::Uint),
            ("float", Target::Float),
            ("hex", Target::Hex),
            ("string", Target::Str),
            ("bool", Target::Bool),
            ("integer", Target::Int),
            ("boolean", Target::Bool),
        ];
        NAMES
            .iter()
            .find(|(name, _)| name.eq_ignore_ascii_case(word))
            .map(|(_, to)| *to)
            .ok_or_else(|| format!("'{word}' is no type; the types are int, uint, float, hex, string and bool"))
    }
}

impl Source {
    fn goes_to(self, to: Target) -> bool {
        match self {
            Self::Str => to != Target::Str,
            Self::Int => matches!(to, Target::Uint | Target::Float | Target::Str),
            Self::Uint => matches!(to, Target::Int | Target::Float | Target::Str),
            Self::Float => matches!(to, Target::Int | Target::Uint | Target::Str),
        }
    }
}

impl Filter for TypeConverter {
    fn apply(&mut self, batch: &mut Batch, cx: &mut FilterCx) {
        for i in batch.fresh() {
            self.draft.load(batch, i);
            let old = self.draft.cells().len();
            for rule in &self.rules {
                let body = batch.body(i);
                let Some((at, value)) = rule.path.locate(body).and_then(|at| Some((at, body.value_at(at)?))) else {
                    continue;
                };
                self.scratch.clear();
                match rule.convert(&value, &mut self.scratch) {
                    Some(Made::Cell(cell)) => self.draft.push(cell),
                    Some(Made::Text) => {
                        let span = batch.arena_mut().push(&self.scratch);
                        self.draft.push(Cell::str(rule.new, span, crate::event::cell::CLEAN));
                    }
                    None => {
                        if let Some(held) = self.pace.allow(cx.now) {
                            log::error!("[{}] failed to convert. key={}{held}", self.label, rule.path.text());
                        }
                        self.draft.append_copy(at, rule.new);
                    }
                }
            }
            if self.draft.cells().len() > old {
                self.draft.store(batch, i);
            }
        }
    }
}

impl Rule {
    /// The value as the new type; `None` when it is of another kind than expected or cannot be converted.
    fn convert(&self, value: &Value<'_>, text: &mut Vec<u8>) -> Option<Made> {
        let key = self.new;
        match (self.from, *value) {
            (Source::Str, Value::Str(t)) => self.read(t.meant(text)).map(Made::Cell),
            (Source::Int, Value::Int(_) | Value::Uint(_)) | (Source::Uint, Value::Int(_) | Value::Uint(_)) => {
                let (signed, bits) = match *value {
                    Value::Int(v) => (true, v as u64),
                    Value::Uint(v) => (false, v),
                    _ => return None,
                };
                match self.to {
                    Target::Str if signed => num::write_i64(bits as i64, text),
                    Target::Str => num::write_u64(bits, text),
                    Target::Float if signed => return Some(Made::Cell(Cell::float(key, bits as i64 as f64))),
                    Target::Float => return Some(Made::Cell(Cell::float(key, bits as f64))),
                    Target::Uint if self.from == Source::Int => return Some(Made::Cell(Cell::uint(key, bits))),
                    Target::Int if self.from == Source::Uint => return Some(Made::Cell(Cell::int(key, bits as i64))),
                    _ => return None,
                }
                Some(Made::Text)
            }
            (Source::Float, Value::Float(v)) => match self.to {
                Target::Str => {
                    num::write_f64_json(v, text);
                    Some(Made::Text)
                }
                Target::Int => Some(Made::Cell(Cell::int(key, v as i64))),
                Target::Uint => Some(Made::Cell(Cell::uint(key, v as u64))),
                _ => None,
            },
            _ => None,
        }
    }

    /// Text as a number or a truth value: what can be read at its start counts.
    fn read(&self, text: &[u8]) -> Option<Cell> {
        let text = text.trim_ascii_start();
        let digits = text.strip_prefix(b"-").or_else(|| text.strip_prefix(b"+")).unwrap_or(text);
        let starts = |is_digit: fn(&u8) -> bool| digits.first().is_some_and(is_digit);
        let kind = match self.to {
            Target::Int if starts(u8::is_ascii_digit) => Type::Int,
            Target::Hex if starts(u8::is_ascii_hexdigit) => Type::Hex,
            Target::Float => Type::Float,
            Target::Bool if text.len() >= 4 => {
                let word = |w: &[u8]| text.get(..w.len()).is_some_and(|t| t.eq_ignore_ascii_case(w));
                return match (word(b"true"), word(b"false")) {
                    (true, _) => Some(Cell::bool(self.new, true)),
                    (_, true) => Some(Cell::bool(self.new, false)),
                    _ => None,
                };
            }
            Target::Uint if starts(u8::is_ascii_digit) => {
                let end = digits.iter().position(|b| !b.is_ascii_digit()).unwrap_or(digits.len());
                let size = parse_u64(digits.get(..end)?).unwrap_or(u64::MAX);
                let minus = text.starts_with(b"-");
                return Some(Cell::uint(self.new, if minus { size.wrapping_neg() } else { size }));
            }
            _ => return None,
        };
        kind.cell(self.new, text, Span::default())
    }
}

#[cfg(test)]
mod tests {
    use super::PLUGIN;
    use crate::filter::testing::{check, refused, said};

    const R: &str = r#"{"s":"12x","f":1.5,"w":2.0,"i":-3,"u":18446744073709551615,"t":"True","m":{"k":"ff"},"z":"0"}"#;

    fn converts(rule: &str, value: &str, new: &str) {
        let expected = format!("{},{new}}}", &R[..R.len() - 1]);
        check(&PLUGIN, &[(rule, value)], &[R], &[&expected]);
    }

    #[test]
    fn new_fields_are_appended() {
        for (rule, value, new) in [
            ("str_key", "s n int", r#""n":12"#),
            ("str_key", "s n uint", r#""n":12"#),
            ("str_key", "s n float", r#""n":12.0"#),
            ("str_key", "s n hex", r#""n":18"#),
            ("str_key", "$m['k'] n HEX", r#""n":255"#),
            ("str_key", "$m['k'] n float", r#""n":0.0"#),
            ("str_key", "t n bool", r#""n":true"#),
            ("str_key", "z n integer", r#""n":0"#),
            ("int_key", "i n string", r#""n":"-3""#),
            ("int_key", "i n float", r#""n":-3.0"#),
            ("int_key", "i n uint", r#""n":18446744073709551613"#),
            ("uint_key", "u n string", r#""n":"18446744073709551615""#),
            ("uint_key", "u n int", r#""n":-1"#),
            ("uint_key", "u n float", r#""n":1.844674407370955e+19"#),
            ("float_key", "f n string", r#""n":"1.5""#),
            ("float_key", "w n string", r#""n":"2.0""#),
            ("float_key", "f n int", r#""n":1"#),
            ("float_key", "f n uint", r#""n":1"#),
            // Copied as it is.
            ("str_key", "t n int", r#""n":"True""#),
            ("str_key", "s n bool", r#""n":"12x""#),
            ("int_key", "f n string", r#""n":1.5"#),
            ("float_key", "i n string", r#""n":-3"#),
            ("str_key", "m n int", r#""n":{"k":"ff"}"#),
        ] {
            converts(rule, value, new);
        }
    }

    #[test]
    fn order_and_missing_fields() {
        check(
            &PLUGIN,
            &[("int_key", "i a string"), ("str_key", "s b int"), ("str_key", "zz c int"), ("str_key", "$s d uint")],
            &[r#"{"i":1,"s":"2"}"#, r#"{"x":1}"#],
            &[r#"{"i":1,"s":"2","b":2,"d":2,"a":"1"}"#, r#"{"x":1}"#],
        );
        check(&PLUGIN, &[("uint_key", "Mem.a b string")], &[r#"{"Mem.a":7}"#], &[r#"{"Mem.a":7,"b":"7"}"#]);
        check(
            &PLUGIN,
            &[("str_key", "s n uint")],
            &[r#"{"s":" -1"}"#, r#"{"s":"99999999999999999999"}"#],
            &[r#"{"s":" -1","n":18446744073709551615}"#, r#"{"s":"99999999999999999999","n":18446744073709551615}"#],
        );
    }

    #[test]
    fn findings() {
        assert!(refused(&PLUGIN, &[]).contains("no rules"));
        assert!(refused(&PLUGIN, &[("str_key", "a b")]).contains("expects 'from_key to_key type'"));
        assert!(refused(&PLUGIN, &[("str_key", "a b date")]).contains("'date' is no type"));
        assert!(refused(&PLUGIN, &[("int_key", "$a.b c string")]).contains("does not belong"));
        assert!(said(&PLUGIN, &[("int_key", "a b int")]).contains("no such conversion"));
        assert_eq!(said(&PLUGIN, &[("int_key", "a b string")]), "");
    }
}

//! `expect`: checks that records have the form they should have.

use super::{Filter, FilterCx, FilterPlugin, words};
use crate::conf::{Many, PluginInfo};
use crate::event::template::write_plain;
use crate::event::{Accessor, Batch, Cell, Cells, Draft, Key, Value};
use crate::fmt::json_write::{JsonOpts, write_map};
use crate::plugin::MakeCx;
use crate::util::sort;

/// The plugin.
pub static PLUGIN: FilterPlugin = FilterPlugin {
    info: PluginInfo {
        name: "expect",
        doc: "Checks that records have the form they should have.",
        keys: ExpectConf::KEYS,
        unserved: ExpectConf::UNSERVED,
        extra: &[],
    },
    make: |cx| make(cx),
};

crate::config! {
    /// Options of `expect`.
    pub struct ExpectConf {
        /// This field exists. KEY may be a record accessor, here and below.
        key_exists: Many<String> => "key_exists",
        /// This field does not exist.
        key_not_exists: Many<String> => "key_not_exists",
        /// This field is null.
        key_val_is_null: Many<String> => "key_val_is_null",
        /// This field exists and is not null.
        key_val_is_not_null: Many<String> => "key_val_is_not_null",
        /// `KEY VALUE`: this field has this value; numbers, booleans and null compare as they are written.
        key_val_eq: Many<String> => "key_val_eq",
        /// What happens when a rule fails: `warn` logs it, `exit` ends the program with code 255, `result_key` adds a
        /// boolean to every record.
        action: Action => "action" = "warn",
        /// The field for action result_key; it comes first.
        result_key: String => "result_key" = "matched",
    }
}

crate::conf_enum! {
    /// What happens when a rule fails.
    pub enum Action {
        /// A log line.
        Warn = "warn",
        /// The end of the program.
        Exit = "exit",
        /// A field that says so.
        ResultKey = "result_key",
    }
}

#[derive(Debug)]
struct Expect {
    label: String,
    rules: Vec<Rule>,
    action: Action,
    result_key: Key,
    json: JsonOpts,
    draft: Draft,
}

#[derive(Debug)]
struct Rule {
    path: Accessor,
    test: Test,
}

#[derive(Debug, Clone)]
enum Test {
    Exists,
    Missing,
    Null,
    NotNull,
    Equals(String),
}

fn make(cx: &mut MakeCx<'_>) -> Option<Box<dyn Filter>> {
    let conf = ExpectConf::load(cx.section, cx.diags)?;
    let mut rules = Vec::new();
    for (list, test) in [
        (conf.key_exists, Test::Exists),
        (conf.key_not_exists, Test::Missing),
        (conf.key_val_is_null, Test::Null),
        (conf.key_val_is_not_null, Test::NotNull),
        (conf.key_val_eq, Test::Equals(String::new())),
    ] {
        for item in list {
            let made = match &test {
                Test::Equals(_) => words::key_and_rest(&item.value)
                    .ok_or_else(|| "a key and a value are expected".to_owned())
                    .map(|(key, value)| (key, Test::Equals(value.to_owned()))),
                other => Ok((item.value.as_str(), other.clone())),
            };
            let made = made.and_then(|(key, test)| Ok(Rule { path: Accessor::parse(key)?, test }));
            rules.push((
                item.ordinal,
                match made {
                    Ok(rule) => Some(rule),
                    Err(why) => {
                        let help = "Write for example: key_exists $log, or key_val_eq $code 200";
                        cx.refuse_at(&item.place, format!("{} {}: {why}", item.key, item.value), help)
                    }
                },
            ));
        }
    }
    if rules.is_empty() {
        cx.diags.warn(&cx.section.place, format!("{} no rules has been defined: nothing is checked", cx.section.who()));
    }
    sort::by_key(&mut rules, |r| r.0);
    Some(Box::new(Expect {
        label: cx.label(),
        rules: rules.into_iter().map(|r| r.1).collect::<Option<_>>()?,
        action: conf.action,
        result_key: Key::of(&conf.result_key),
        json: cx.json,
        draft: Draft::default(),
    }))
}

impl Filter for Expect {
    fn apply(&mut self, batch: &mut Batch, cx: &mut FilterCx) {
        let mut said = false;
        for i in batch.fresh() {
            let failure = self.failure(batch.body(i));
            if let Some(why) = failure.as_deref().filter(|_| !said) {
                log::error!("[{}] {why}", self.label);
                said = true;
            }
            match (self.action, failure) {
                (Action::ResultKey, failure) => {
                    self.draft.load(batch, i);
                    self.draft.push_front(Cell::bool(self.result_key, failure.is_none()));
                    self.draft.store(batch, i);
                }
                (_, None) => {}
                // One record tells what is wrong; the others of its batch are not looked at.
                (Action::Warn, Some(_)) => {
                    log::warn!("[{}] expect check failed", self.label);
                    return;
                }
                (Action::Exit, Some(_)) => {
                    cx.exit = Some(255);
                    return;
                }
            }
        }
    }
}

impl Expect {
    /// What the first rule that fails has to say.
    fn failure(&self, body: Cells<'_>) -> Option<String> {
        let (n, rule, why) =
            self.rules.iter().enumerate().find_map(|(n, rule)| Some((n, rule, rule.failure(rule.path.get(body))?)))?;
        let mut record = Vec::new();
        write_map(body, self.json, &mut record);
        let record = String::from_utf8_lossy(&record);
        Some(format!("exception on rule #{n} '{}', {why}. Record content:\n{record}", rule.test.name()))
    }
}

impl Rule {
    fn failure(&self, found: Option<Value<'_>>) -> Option<String> {
        let key = self.path.text();
        match (&self.test, found) {
            (Test::Missing, None) => None,
            (Test::Missing, Some(_)) => Some(format!("key '{key}' exists")),
            (_, None) => Some(format!("key '{key}' not found")),
            (Test::Null, Some(value)) if !matches!(value, Value::Null) => {
                Some(format!("key '{key}' contains a value type '{}'", type_name(&value)))
            }
            (Test::NotNull, Some(Value::Null)) => Some(format!("key '{key}' contains a value type 'null'")),
            (Test::Equals(expected), Some(value)) => {
                let mut text = Vec::new();
                match value {
                    // Whole numbers with a fraction of zero are written in several ways.
                    Value::Float(v) if expected.parse() == Ok(v) => return None,
                    _ => write_plain(&value, &mut text),
                }
                let text = String::from_utf8_lossy(&text);
                (text != *expected).then(|| format!("key value '{text}' is different than expected: '{expected}'"))
            }
            _ => None,
        }
    }
}

impl Test {
    fn name(&self) -> &'static str {
        match self {
            Self::Exists => "key_exists",
            Self::Missing => "key_not_exists",
            Self::Null => "key_val_is_null",
            Self::NotNull => "key_val_is_not_null",
            Self::Equals(_) => "key_val_eq",
        }
    }
}

fn type_name(value: &Value<'_>) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Int(_) | Value::Uint(_) => "integer",
        Value::Float(_) => "float / double",
        Value::Str(_) => "string",
        Value::Bin(_) => "binary",
        Value::Map(_) => "map",
        Value::Array(_) => "array",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::filter::testing::{apply, batch, check, instance, refused, said};
    use crate::time::Time;

    const R: &str = r#"{"log":"a b","n":null,"code":200,"f":1.0,"t":true,"m":{"k":"v"}}"#;

    fn holds(rule: &str, value: &str, expected: bool) {
        let result = format!(r#"{{"matched":{expected},{}"#, &R[1..]);
        check(&PLUGIN, &[(rule, value), ("action", "result_key")], &[R], &[&result]);
    }

    #[test]
    fn each_rule() {
        for (rule, value, expected) in [
            ("key_exists", "$log", true),
            ("key_exists", "$m['k']", true),
            ("key_exists", "zz", false),
            ("key_not_exists", "$zz", true),
            ("key_not_exists", "$n", false),
            ("key_val_is_null", "n", true),
            ("key_val_is_null", "log", false),
            ("key_val_is_null", "zz", false),
            ("key_val_is_not_null", "log", true),
            ("key_val_is_not_null", "n", false),
            ("key_val_is_not_null", "zz", false),
            ("key_val_eq", "log a b", true),
            ("key_val_eq", "log a", false),
            ("key_val_eq", "$m['k'] v", true),
            ("key_val_eq", "code 200", true),
            ("key_val_eq", "code 404", false),
            ("key_val_eq", "f 1", true),
            ("key_val_eq", "t true", true),
            ("key_val_eq", "n null", true),
            ("key_val_eq", "zz 1", false),
        ] {
            holds(rule, value, expected);
        }
    }

    #[test]
    fn each_record_has_its_own_result() {
        let conf = [("action", "result_key"), ("result_key", "ok"), ("key_exists", "a"), ("key_exists", "b")];
        check(
            &PLUGIN,
            &conf,
            &[r#"{"a":1,"b":2}"#, r#"{"a":1}"#, "{}"],
            &[r#"{"ok":true,"a":1,"b":2}"#, r#"{"ok":false,"a":1}"#, r#"{"ok":false}"#],
        );
    }

    #[test]
    fn exit_asks_the_engine_and_warn_changes_nothing() {
        for (action, code) in [("exit", Some(255)), ("warn", None)] {
            let mut f = instance(&PLUGIN, &[("action", action), ("key_exists", "a")]);
            let mut cx = FilterCx::new(Time(0));
            let mut b = batch("t", &[r#"{"a":1}"#]);
            apply(&mut *f, &mut b, &mut cx);
            assert_eq!(cx.exit, None);
            let mut b = batch("t", &[r#"{"a":1}"#, r#"{"b":1}"#]);
            apply(&mut *f, &mut b, &mut cx);
            assert_eq!((cx.exit, b.len()), (code, 2));
        }
    }

    #[test]
    fn what_is_said() {
        let fails = |rule: &str, test: Test| {
            let e = Expect {
                label: String::new(),
                rules: vec![Rule { path: Accessor::parse(rule).unwrap(), test }],
                action: Action::Warn,
                result_key: Key::NONE,
                json: JsonOpts::default(),
                draft: Draft::default(),
            };
            e.failure(batch("t", &[r#"{"a":"x"}"#]).body(0)).unwrap()
        };
        let tail = ". Record content:\n{\"a\":\"x\"}";
        for (got, want) in [
            (fails("$b", Test::Exists), "exception on rule #0 'key_exists', key '$b' not found"),
            (fails("$a", Test::Missing), "exception on rule #0 'key_not_exists', key '$a' exists"),
            (fails("a", Test::Null), "exception on rule #0 'key_val_is_null', key 'a' contains a value type 'string'"),
            (
                fails("$a", Test::Equals("y".into())),
                "exception on rule #0 'key_val_eq', key value 'x' is different than expected: 'y'",
            ),
        ] {
            assert_eq!(got, format!("{want}{tail}"));
        }
    }

    #[test]
    fn findings() {
        assert!(refused(&PLUGIN, &[("key_val_eq", "a")]).contains("a key and a value are expected"));
        assert!(refused(&PLUGIN, &[("key_exists", "$a.b")]).contains("does not belong"));
        assert!(refused(&PLUGIN, &[("action", "panic")]).contains("not one of: warn exit result_key"));
        assert!(said(&PLUGIN, &[]).contains("no rules has been defined"));
    }
}

//! `modify`: changes the fields of records by rules in written order, when conditions hold.

mod condition;
mod rule;

use super::{Filter, FilterCx, FilterPlugin, words};
use crate::conf::{Item, Many, PluginInfo};
use crate::event::{Batch, Draft};
use crate::plugin::MakeCx;
use crate::util::sort;
use condition::Condition;
use rule::{Action, Rule};

/// The plugin.
pub static PLUGIN: FilterPlugin = FilterPlugin {
    info: PluginInfo {
        name: "modify",
        doc: "Changes the fields of records by rules in written order, when conditions hold.",
        keys: ModifyConf::KEYS,
        unserved: ModifyConf::UNSERVED,
        extra: &[],
    },
    make: |cx| make(cx),
};

crate::config! {
    /// Options of `modify`. Words with blanks stand in quotes.
    pub struct ModifyConf {
        /// `KEY VALUE`: sets a field to this text. It moves to the end of the record.
        set: Many<String> => "Set",
        /// `KEY VALUE`: adds a field when the record has none of that name.
        add: Many<String> => "Add",
        /// `KEY`: removes a field.
        remove: Many<String> => "Remove",
        /// `PREFIX`: removes the fields whose names begin so.
        remove_wildcard: Many<String> => "Remove_wildcard",
        /// `PATTERN`: removes the fields in whose names the pattern is found.
        remove_regex: Many<String> => "Remove_regex",
        /// `PREFIX`: moves the fields whose names begin so to the start.
        move_to_start: Many<String> => "Move_To_Start",
        /// `PREFIX`: moves the fields whose names begin so to the end.
        move_to_end: Many<String> => "Move_To_End",
        /// `KEY NEW`: renames a field when the record has none of the new name.
        rename: Many<String> => "Rename",
        /// `KEY NEW`: renames a field; one of the new name is removed.
        hard_rename: Many<String> => "Hard_Rename",
        /// `KEY NEW`: copies a field when the record has none of the new name.
        copy: Many<String> => "Copy",
        /// `KEY NEW`: copies a field; one of the new name is replaced.
        hard_copy: Many<String> => "Hard_copy",
        /// `TEST KEY [VALUE]`: the rules apply to records for which all conditions hold. The tests are Key_exists,
        /// Key_does_not_exist, A_key_matches, No_key_matches, Key_value_equals, Key_value_does_not_equal,
        /// Key_value_matches, Key_value_does_not_match, Matching_keys_have_matching_values and
        /// Matching_keys_do_not_have_matching_values. KEY may be a record accessor, or a pattern where keys match.
        condition: Many<String> => "Condition",
    }
}

#[derive(Debug)]
struct Modify {
    conditions: Vec<Condition>,
    rules: Vec<Rule>,
    draft: Draft,
    scratch: Vec<u8>,
}

fn make(cx: &mut MakeCx<'_>) -> Option<Box<dyn Filter>> {
    let conf = ModifyConf::load(cx.section, cx.diags)?;
    let conditions: Vec<_> = conf.condition.into_iter().map(|item| parsed(cx, &item, Condition::parse)).collect();
    let mut rules: Vec<(usize, Option<Rule>)> = Vec::new();
    for (list, action) in [
        (conf.set, Action::Set),
        (conf.add, Action::Add),
        (conf.remove, Action::Remove),
        (conf.remove_wildcard, Action::RemoveWildcard),
        (conf.remove_regex, Action::RemoveRegex),
        (conf.move_to_start, Action::MoveToStart),
        (conf.move_to_end, Action::MoveToEnd),
        (conf.rename, Action::Rename),
        (conf.hard_rename, Action::HardRename),
        (conf.copy, Action::Copy),
        (conf.hard_copy, Action::HardCopy),
    ] {
        for item in list {
            if action.takes_prefix() && item.value.ends_with('*') {
                let note =
                    format!("{} {} {}: the * is taken as part of the prefix", cx.section.who(), item.key, item.value);
                cx.diags.warn_help(&item.place, note, "Leave the * out: every name that begins so is meant.");
            }
            rules.push((item.ordinal, parsed(cx, &item, |words| Rule::parse(action, words))));
        }
    }
    sort::by_key(&mut rules, |r| r.0);
    if rules.is_empty() {
        cx.diags.warn(&cx.section.place, format!("{} no rule is given: nothing is changed", cx.section.who()));
    }
    let conditions = conditions.into_iter().collect::<Option<Vec<_>>>();
    let rules = rules.into_iter().map(|r| r.1).collect::<Option<Vec<_>>>()?;
    Some(Box::new(Modify { conditions: conditions?, rules, draft: Draft::default(), scratch: Vec::new() }))
}

/// Splits a value into words and makes something of them; what is wrong is reported at the value.
fn parsed<T>(cx: &mut MakeCx<'_>, item: &Item<String>, of: impl FnOnce(&[String]) -> Result<T, String>) -> Option<T> {
    match words::quoted(&item.value).and_then(|words| of(&words)) {
        Ok(made) => Some(made),
        Err(why) => {
            let help = "A value with blanks stands in quotes: \"a value\".";
            cx.refuse_at(&item.place, format!("{} {}: {why}", item.key, item.value), help)
        }
    }
}

impl Filter for Modify {
    fn apply(&mut self, batch: &mut Batch, _cx: &mut FilterCx) {
        self.rules.iter_mut().for_each(Rule::restart);
        for i in batch.fresh() {
            let body = batch.body(i);
            if !self.conditions.iter_mut().all(|c| c.holds(batch, body, &mut self.scratch)) {
                continue;
            }
            self.draft.load(batch, i);
            let mut changed = false;
            for rule in &mut self.rules {
                changed |= rule.apply(&mut self.draft, batch);
            }
            if changed {
                self.draft.store(batch, i);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::PLUGIN;
    use crate::filter::testing::{check, refused, said};

    fn rules(conf: &[(&str, &str)], input: &str, expected: &str) {
        check(&PLUGIN, conf, &[input], &[expected]);
    }

    #[test]
    fn each_rule() {
        let r = r#"{"log":"x","code":500,"m":{"a":1},"Mem.a":1,"Mem.b":2}"#;
        let table: &[(&str, &str, &str)] = &[
            ("Add", "log nope", r),
            ("Add", "new yes", r#"{"log":"x","code":500,"m":{"a":1},"Mem.a":1,"Mem.b":2,"new":"yes"}"#),
            ("Set", "code 1", r#"{"log":"x","m":{"a":1},"Mem.a":1,"Mem.b":2,"code":"1"}"#),
            ("Set", "new \"a b\"", r#"{"log":"x","code":500,"m":{"a":1},"Mem.a":1,"Mem.b":2,"new":"a b"}"#),
            ("Remove", "m", r#"{"log":"x","code":500,"Mem.a":1,"Mem.b":2}"#),
            ("Remove", "a", r),
            ("Remove_wildcard", "Mem", r#"{"log":"x","code":500,"m":{"a":1}}"#),
            ("Remove_wildcard", "mem", r),
            ("Remove_regex", "^(log|Mem\\.b)$", r#"{"code":500,"m":{"a":1},"Mem.a":1}"#),
            ("Move_to_start", "Mem", r#"{"Mem.a":1,"Mem.b":2,"log":"x","code":500,"m":{"a":1}}"#),
            ("Move_to_end", "m", r#"{"log":"x","code":500,"Mem.a":1,"Mem.b":2,"m":{"a":1}}"#),
            ("Rename", "m n", r#"{"log":"x","code":500,"n":{"a":1},"Mem.a":1,"Mem.b":2}"#),
            ("Rename", "m log", r),
            ("Rename", "zz log", r),
            ("Rename", "m m", r),
            ("Hard_rename", "m log", r#"{"code":500,"log":{"a":1},"Mem.a":1,"Mem.b":2}"#),
            ("Hard_rename", "m n", r#"{"log":"x","code":500,"n":{"a":1},"Mem.a":1,"Mem.b":2}"#),
            ("Hard_rename", "zz log", r),
            ("Hard_rename", "m m", r),
            ("Copy", "m n", r#"{"log":"x","code":500,"m":{"a":1},"n":{"a":1},"Mem.a":1,"Mem.b":2}"#),
            ("Copy", "m log", r),
            ("Copy", "zz n", r),
            ("Hard_copy", "m log", r#"{"code":500,"m":{"a":1},"log":{"a":1},"Mem.a":1,"Mem.b":2}"#),
            ("Hard_copy", "m n", r#"{"log":"x","code":500,"m":{"a":1},"n":{"a":1},"Mem.a":1,"Mem.b":2}"#),
            ("Hard_copy", "zz n", r),
            ("Hard_copy", "m m", r),
        ];
        for (rule, value, expected) in table {
            rules(&[(rule, value)], r, expected);
        }
    }

    #[test]
    fn keys_that_occur_twice() {
        let r = r#"{"a":1,"b":2,"a":3,"c":4,"b":5}"#;
        let table: &[(&str, &str, &str)] = &[
            ("Set", "a x", r#"{"b":2,"c":4,"b":5,"a":"x"}"#),
            ("Remove", "a", r#"{"b":2,"c":4,"b":5}"#),
            ("Rename", "a z", r#"{"z":1,"b":2,"z":3,"c":4,"b":5}"#),
            ("Hard_rename", "c a", r#"{"b":2,"a":4,"b":5}"#),
            ("Copy", "a z", r),
            ("Hard_copy", "a z", r),
            ("Hard_copy", "c a", r),
        ];
        for (rule, value, expected) in table {
            rules(&[(rule, value)], r, expected);
        }
    }

    #[test]
    fn rules_of_different_keys_keep_their_written_order() {
        let r = r#"{"a":"1","b":"2"}"#;
        rules(&[("Rename", "a c"), ("Add", "a 9"), ("Remove", "b")], r, r#"{"c":"1","a":"9"}"#);
        rules(&[("Add", "a 9"), ("Rename", "a c"), ("Remove", "b")], r, r#"{"c":"1"}"#);
        rules(&[("Remove", "b"), ("Remove", "a")], r, "{}");
        rules(&[("Set", "x 1"), ("Copy", "x y"), ("Set", "x 2")], "{}", r#"{"y":"1","x":"2"}"#);
        // In place, since one goes and one comes.
        rules(&[("Remove", "a"), ("Add", "cluster eu-1")], r, r#"{"b":"2","cluster":"eu-1"}"#);
    }

    #[test]
    fn values_are_text_as_written() {
        rules(&[("Set", r#"a "say \"hi\" \d é""#)], "{}", r#"{"a":"say \"hi\" \\d \u00e9"}"#);
        rules(&[("Set", "a 1.50")], "{}", r#"{"a":"1.50"}"#);
        rules(&[("Set", "'a b' true")], "{}", r#"{"a b":"true"}"#);
        rules(&[("Set", "$a x")], "{}", r#"{"$a":"x"}"#);
    }

    #[test]
    fn conditions() {
        let r = r#"{"log":"err 1","n":5,"t":true,"m":{"k":"v"},"k1":"a1","k2":"a2","e":"x\ny"}"#;
        let table: &[(&str, bool)] = &[
            ("Key_exists log", true),
            ("key_EXISTS zz", false),
            ("Key_exists $m['k']", true),
            ("Key_exists $m['z']", false),
            ("Key_does_not_exist zz", true),
            ("Key_does_not_exist log", false),
            ("A_key_matches ^k[12]$", true),
            ("A_key_matches ^k$", false),
            ("No_key_matches ^k$", true),
            ("No_key_matches k", false),
            ("Key_value_equals log \"err 1\"", true),
            ("Key_value_equals log err", false),
            ("Key_value_equals n 5", false),
            ("Key_value_equals $m['k'] v", true),
            ("Key_value_equals e 'x\ny'", true),
            ("Key_value_does_not_equal log err", true),
            ("Key_value_does_not_equal log 'err 1'", false),
            ("Key_value_does_not_equal n 5", true),
            ("Key_value_does_not_equal zz 5", false),
            ("Key_value_matches log ^err", true),
            ("Key_value_matches log ^x", false),
            ("Key_value_matches n 5", false),
            ("Key_value_matches t ^true$", true),
            ("Key_value_matches e x\\ny", true),
            ("Key_value_does_not_match log ^x", true),
            ("Key_value_does_not_match log ^err", false),
            ("Key_value_does_not_match zz ^x", false),
            ("Matching_keys_have_matching_values ^k a", true),
            ("Matching_keys_have_matching_values ^k a1", false),
            ("Matching_keys_have_matching_values ^zz a1", true),
            ("Matching_keys_have_matching_values ^n .", false),
            ("Matching_keys_do_not_have_matching_values ^k a1", true),
            ("Matching_keys_do_not_have_matching_values ^k a", false),
        ];
        let with = format!("{},\"ok\":\"1\"}}", &r[..r.len() - 1]);
        for (condition, holds) in table {
            let expected = if *holds { &with } else { r };
            check(&PLUGIN, &[("Condition", condition), ("Add", "ok 1")], &[r], &[expected]);
        }
        for (second, expected) in [("Key_exists n", with.as_str()), ("Key_exists zz", r)] {
            let both = [("Condition", "Key_exists log"), ("Add", "ok 1"), ("Condition", second)];
            check(&PLUGIN, &both, &[r], &[expected]);
        }
    }

    #[test]
    fn what_is_refused() {
        for (key, value, part) in [
            ("Set", "key", "a key and a value are expected"),
            ("Set", "key some value", "a key and a value are expected, but there are 3 words"),
            ("Remove", "a b", "one key is expected, but there are 2 words"),
            ("Rename", "a", "a key and its new name are expected"),
            ("Remove_regex", "(", "the pattern '(' cannot be used"),
            ("Add", "a 'b", "a quote is not closed"),
            ("Condition", "Key_exist a", "'Key_exist' is no condition. Did you mean 'Key_exists'?"),
            ("Condition", "Key_exists", "a key is expected"),
            ("Condition", "Key_value_equals a", "a key and a value are expected"),
            ("Condition", "Key_value_matches a b c", "a key and a value are expected"),
            ("Condition", "Key_value_matches a [", "the pattern '[' cannot be used"),
            ("Condition", "Key_exists $a.b", "'.b' does not belong"),
        ] {
            let why = refused(&PLUGIN, &[("Add", "x y"), (key, value)]);
            assert!(why.contains(part), "{key} {value}: {why}");
        }
        assert!(said(&PLUGIN, &[("Remove_wildcard", "Mem*")]).contains("part of the prefix"));
        assert!(said(&PLUGIN, &[]).contains("no rule is given"));
        let both = refused(&PLUGIN, &[("Set", "a"), ("Condition", "nope")]);
        assert!(both.contains("Set a:") && both.contains("Condition nope:"), "{both}");
    }
}

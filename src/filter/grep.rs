//! `grep`: keeps or drops records by what their fields say.

use super::{Filter, FilterCx, FilterPlugin, words};
use crate::conf::{Item, Many, PluginInfo};
use crate::event::{Accessor, Batch, Cells};
use crate::parse::regex::Regex;
use crate::plugin::MakeCx;
use crate::util::sort;

/// The plugin.
pub static PLUGIN: FilterPlugin = FilterPlugin {
    info: PluginInfo {
        name: "grep",
        doc: "Keeps or drops records by what their fields say.",
        keys: GrepConf::KEYS,
        unserved: GrepConf::UNSERVED,
        extra: &[],
    },
    make: |cx| make(cx),
};

crate::config! {
    /// Options of `grep`.
    pub struct GrepConf {
        /// `KEY PATTERN`: keeps the records in whose field the pattern is found. KEY may be a record accessor. Only text
        /// matches.
        regex: Many<String> => "Regex",
        /// `KEY PATTERN`: drops the records in whose field the pattern is found.
        exclude: Many<String> => "Exclude",
        /// How several rules go together. `legacy`: in written order, the first one that decides wins (a Regex decides
        /// always, an Exclude only when it is found). `AND`, `OR`: all, or one, must be found; rules of one kind only.
        logical_op: Op => "Logical_Op" = "legacy",
    }
}

crate::conf_enum! {
    /// How several rules go together.
    pub enum Op {
        /// The first rule that decides wins.
        Legacy = "legacy",
        /// All must be found.
        And = "AND",
        /// One must be found.
        Or = "OR",
    }
}

#[derive(Debug)]
struct Grep {
    rules: Vec<Rule>,
    op: Op,
    scratch: Vec<u8>,
}

#[derive(Debug)]
struct Rule {
    path: Accessor,
    pattern: Regex,
    keeps: bool,
}

fn make(cx: &mut MakeCx<'_>) -> Option<Box<dyn Filter>> {
    let conf = GrepConf::load(cx.section, cx.diags)?;
    if conf.op_is_mixed() {
        return cx.refuse(
            "Logical_Op",
            "both 'Regex' and 'Exclude' are set, which Logical_Op AND and OR do not allow",
            "Use rules of one kind, or two grep filters.",
        );
    }
    let mut rules: Vec<(usize, Option<Rule>)> = Vec::new();
    for (list, keeps) in [(conf.regex, true), (conf.exclude, false)] {
        rules.extend(list.into_iter().map(|item| (item.ordinal, rule(cx, &item, keeps))));
    }
    sort::by_key(&mut rules, |r| r.0);
    if rules.is_empty() {
        cx.diags.warn(&cx.section.place, format!("{} no rule is given: every record is kept", cx.section.who()));
    }
    let rules = rules.into_iter().map(|r| r.1).collect::<Option<Vec<_>>>()?;
    Some(Box::new(Grep { rules, op: conf.logical_op, scratch: Vec::new() }))
}

impl GrepConf {
    fn op_is_mixed(&self) -> bool {
        self.logical_op != Op::Legacy && !self.regex.is_empty() && !self.exclude.is_empty()
    }
}

fn rule(cx: &mut MakeCx<'_>, item: &Item<String>, keeps: bool) -> Option<Rule> {
    let Some((key, pattern)) = words::key_and_rest(&item.value) else {
        let what = format!("{} '{}': a key and a pattern are expected", item.key, item.value);
        return cx.refuse_at(&item.place, what, "Write for example: Regex log ^error");
    };
    let path = match Accessor::parse(key) {
        Ok(path) => path,
        Err(why) => {
            return cx.refuse_at(&item.place, why, "Write for example: Regex $kubernetes['labels']['app'] ^web");
        }
    };
    match Regex::new(pattern) {
        Ok(pattern) => Some(Rule { path, pattern, keeps }),
        Err(why) => {
            let what = format!("{} the pattern '{pattern}' cannot be used: {why}", item.key);
            cx.refuse_at(&item.place, what, "Patterns have Ruby's syntax.")
        }
    }
}

impl Filter for Grep {
    fn apply(&mut self, batch: &mut Batch, _cx: &mut FilterCx) {
        for i in batch.fresh() {
            if !self.keeps(batch.body(i)) {
                batch.drop_record(i);
            }
        }
    }
}

impl Grep {
    fn keeps(&mut self, body: Cells<'_>) -> bool {
        let scratch = &mut self.scratch;
        let mut found =
            |rule: &Rule| rule.path.get_text(body).is_some_and(|text| rule.pattern.is_match(text.meant(scratch)));
        // Rules under AND and OR are all of one kind.
        let kept_when_found = self.rules.first().is_none_or(|r| r.keeps);
        match self.op {
            Op::Legacy => {
                for rule in &self.rules {
                    match (rule.keeps, found(rule)) {
                        (true, decision) => return decision,
                        (false, true) => return false,
                        (false, false) => {}
                    }
                }
                true
            }
            _ if self.rules.is_empty() => true,
            Op::And => self.rules.iter().all(found) == kept_when_found,
            Op::Or => self.rules.iter().any(found) == kept_when_found,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::PLUGIN;
    use crate::filter::testing::{check, refused, said};

    const ERR: &str = r#"{"log":"error a","code":500,"m":{"k":["x","warn \"q\""]}}"#;
    const INFO: &str = r#"{"log":"info b","code":200}"#;

    fn keeps(conf: &[(&str, &str)], expected: &[&str]) {
        check(&PLUGIN, conf, &[ERR, INFO], expected);
    }

    #[test]
    fn legacy_the_first_rule_that_decides_wins() {
        keeps(&[("Regex", "log ^error")], &[ERR]);
        keeps(&[("Exclude", "log ^error")], &[INFO]);
        // First hit, second miss: kept.
        keeps(&[("Regex", "log ^error"), ("Regex", "log zzz")], &[ERR]);
        keeps(&[("Regex", "log zzz"), ("Regex", "log ^error")], &[]);
        keeps(&[("Exclude", "log b$"), ("Regex", "log a")], &[ERR]);
        keeps(&[("Regex", "log a"), ("Exclude", "log error")], &[ERR]);
        keeps(&[("Exclude", "log zzz")], &[ERR, INFO]);
        keeps(&[("Exclude", "missing x")], &[ERR, INFO]);
        keeps(&[("Regex", "missing x")], &[]);
    }

    #[test]
    fn only_text_matches() {
        keeps(&[("Regex", "code ^5")], &[]);
        keeps(&[("Exclude", "code ^5")], &[ERR, INFO]);
        keeps(&[("Regex", "$m k")], &[]);
    }

    #[test]
    fn nested_and_escaped_fields() {
        keeps(&[("Regex", "$m['k'][1] ^warn \"q\"$")], &[ERR]);
        keeps(&[("Regex", "m['k'][0] x")], &[ERR]);
        keeps(&[("Exclude", "$m['k'][0] x")], &[INFO]);
        check(&PLUGIN, &[("Regex", r#"a ^x\ny$"#)], &[r#"{"a":"x\ny"}"#, r#"{"a":"x\\ny"}"#], &[r#"{"a":"x\ny"}"#]);
        check(&PLUGIN, &[("Regex", "a.b c")], &[r#"{"a.b":"c"}"#, r#"{"a":"c"}"#], &[r#"{"a.b":"c"}"#]);
        check(
            &PLUGIN,
            &[("Regex", "a c")],
            &[r#"{"a":"c","a":"d"}"#, r#"{"a":"d","a":"c"}"#],
            &[r#"{"a":"d","a":"c"}"#],
        );
    }

    #[test]
    fn and_or() {
        for (op, rules, expected) in [
            ("AND", [("Regex", "log error"), ("Regex", "log a")], &[ERR][..]),
            ("and", [("Regex", "log error"), ("Regex", "log b")], &[]),
            ("OR", [("Regex", "log error"), ("Regex", "log b")], &[ERR, INFO]),
            ("or", [("Regex", "log zzz"), ("Regex", "log b")], &[INFO]),
            ("AND", [("Exclude", "log error"), ("Exclude", "log a")], &[INFO]),
            ("AND", [("Exclude", "log error"), ("Exclude", "log b")], &[ERR, INFO]),
            ("OR", [("Exclude", "log error"), ("Exclude", "log b")], &[]),
        ] {
            keeps(&[("Logical_Op", op), rules[0], rules[1]], expected);
        }
    }

    #[test]
    fn what_is_refused() {
        for (conf, part) in [
            (&[("Logical_Op", "AND"), ("Regex", "a b"), ("Exclude", "a c")][..], "both 'Regex' and 'Exclude'"),
            (&[("Logical_Op", "nor")], "'nor' is not one of: legacy AND OR"),
            (&[("Regex", "log")], "a key and a pattern are expected"),
            (&[("Regex", "log (")], "the pattern '(' cannot be used"),
            (&[("Regex", "$a.b x")], "'.b' does not belong"),
            (&[("Regexx", "a b")], "unknown configuration property 'Regexx'"),
        ] {
            let why = refused(&PLUGIN, conf);
            assert!(why.contains(part), "{conf:?}: {why}");
        }
        assert!(said(&PLUGIN, &[]).contains("no rule is given"));
    }
}

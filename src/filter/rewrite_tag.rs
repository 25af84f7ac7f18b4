//! `rewrite_tag`: sends records through the pipeline again, under a tag made from what they say.

use super::{Emitter, Filter, FilterCx, FilterPlugin};
use crate::conf::storage::StorageType;
use crate::conf::{FromConf, Item, Many, PluginInfo, SList, Size};
use crate::event::{Accessor, Batch, Cells, Template};
use crate::parse::regex::{Regex, Slots};
use crate::plugin::MakeCx;

/// The plugin.
pub static PLUGIN: FilterPlugin = FilterPlugin {
    info: PluginInfo {
        name: "rewrite_tag",
        doc: "Sends records through the pipeline again, under a tag made from what they say.",
        keys: RewriteTagConf::KEYS,
        unserved: RewriteTagConf::UNSERVED,
        extra: &[],
    },
    make: |cx| make(cx),
};

crate::config! {
    /// Options of `rewrite_tag`.
    pub struct RewriteTagConf {
        /// `$KEY PATTERN NEW_TAG KEEP`: a record in whose field the pattern is found goes through all filters again
        /// under the new tag; KEEP says whether it stays under the old one, too. The first rule that fits counts. The new tag
        /// may hold $TAG, $TAG[n] (a part between dots), $0 to $9 (groups of the pattern) and $key. A pattern with
        /// blanks stands in double quotes.
        rule: Many<SList> => "Rule",
        /// The name of the hidden input that sends the records; `emitter_for_` and the name of the filter by default.
        emitter_name: Option<String> => "Emitter_Name",
        /// Memory that records sent again may hold before inputs are paused.
        emitter_mem_buf_limit: Size => "Emitter_Mem_Buf_Limit" = "10M",
        /// Where records sent again wait for their outputs.
        emitter_storage_type: StorageType => "Emitter_Storage.type" = "memory",
    }

}

#[derive(Debug)]
struct RewriteTag {
    rules: Vec<Rule>,
    emitter: Emitter,
    groups: Slots,
    scratch: Vec<u8>,
    tag: Vec<u8>,
}

#[derive(Debug)]
struct Rule {
    path: Accessor,
    pattern: Regex,
    tag: Template,
    keep: bool,
}

fn make(cx: &mut MakeCx<'_>) -> Option<Box<dyn Filter>> {
    let conf = RewriteTagConf::load(cx.section, cx.diags)?;
    if conf.rule.is_empty() {
        cx.diags.warn(&cx.section.place, format!("{} no rules have been defined: no tag changes", cx.section.who()));
    }
    let rules: Vec<_> = conf.rule.into_iter().map(|item| rule(cx, &item)).collect();
    let name = conf.emitter_name.unwrap_or_else(|| format!("emitter_for_{}", cx.name));
    let mem_buf_limit = usize::try_from(conf.emitter_mem_buf_limit.0).unwrap_or(usize::MAX);
    Some(Box::new(RewriteTag {
        rules: rules.into_iter().collect::<Option<_>>()?,
        emitter: Emitter { name, mem_buf_limit, storage: conf.emitter_storage_type, resumes: false, in_order: false },
        groups: Slots::default(),
        scratch: Vec::new(),
        tag: Vec::new(),
    }))
}

fn rule(cx: &mut MakeCx<'_>, item: &Item<SList>) -> Option<Rule> {
    match parse(&item.value.0) {
        Ok(rule) => Some(rule),
        Err(why) => {
            let help = "Write for example: Rule $log ^error errors.$TAG false (a pattern with blanks in double quotes)";
            cx.refuse_at(&item.place, format!("{}: {why}", item.key), help)
        }
    }
}

fn parse(words: &[String]) -> Result<Rule, String> {
    let [key, pattern, tag, keep] = words else {
        return Err(format!("$KEY PATTERN NEW_TAG KEEP are expected, but there are {} words", words.len()));
    };
    Ok(Rule {
        path: Accessor::parse(key)?,
        pattern: Regex::new(pattern).map_err(|why| format!("the pattern '{pattern}' cannot be used: {why}"))?,
        tag: Template::parse(tag)?,
        keep: bool::from_conf(keep)?,
    })
}

impl Filter for RewriteTag {
    fn apply(&mut self, batch: &mut Batch, cx: &mut FilterCx) {
        for i in batch.fresh() {
            let Some(keep) = self.new_tag(batch.body(i), batch.tag()) else { continue };
            cx.emit(&String::from_utf8_lossy(&self.tag), &batch.record(i));
            if !keep {
                batch.drop_record(i);
            }
        }
    }

    fn emits(&self) -> Option<Emitter> {
        Some(self.emitter.clone())
    }
}

impl RewriteTag {
    /// Makes the new tag by the first rule that fits, and says whether the record stays. `None` when no rule fits, or
    /// nothing would be left of the tag.
    fn new_tag(&mut self, body: Cells<'_>, old: &str) -> Option<bool> {
        for rule in &self.rules {
            let Some(text) = rule.path.get_text(body) else { continue };
            let text = text.meant(&mut self.scratch);
            if rule.pattern.captures(text, &mut self.groups) {
                let group = |n| self.groups.get(n).and_then(|(from, to)| text.get(from..to));
                self.tag.clear();
                rule.tag.render(body, old, group, &mut self.tag);
                return (!self.tag.is_empty()).then_some(rule.keep);
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::PLUGIN;
    use crate::filter::FilterCx;
    use crate::filter::testing::{START, apply, batch, instance, json, lines, refused, said};
    use crate::time::Time;

    /// What stays, and what is sent as `tag {record}`.
    fn check(rules: &[&str], input: &[&str], stays: &[&str], sent: &[&str]) {
        let conf: Vec<_> = rules.iter().map(|r| ("Rule", *r)).collect();
        let mut f = instance(&PLUGIN, &conf);
        let mut b = batch("a.b.c", input);
        let mut cx = FilterCx::new(Time(0));
        apply(&mut *f, &mut b, &mut cx);
        assert_eq!(lines(&b), stays, "{rules:?}");
        let emitted = cx.take_emitted();
        let got: Vec<_> = emitted
            .iter()
            .map(|e| &e.batch)
            .flat_map(|b| b.records().map(|r| format!("{} {}", b.tag(), json(r.body()))))
            .collect();
        assert_eq!(got, sent, "{rules:?}");
    }

    #[test]
    fn tags_are_made_from_the_tag_the_match_and_the_record() {
        let r = r#"{"log":"error x","code":500}"#;
        let sent = r#"new.a.b.c.b.er.500.x {"log":"error x","code":500}"#;
        check(&["$log ^(er)ror new.$TAG.$TAG[1].$1.$code.x false"], &[r], &[], &[sent]);
        check(&["$log ^(er)ror new.$TAG.$TAG[1].$1.$code.x TRUE"], &[r], &[r], &[sent]);
        check(&["log \"error x\" a.$0 no"], &[r], &[], &[r#"a.error x {"log":"error x","code":500}"#]);
        check(&["$code 500 a no"], &[r], &[r], &[]);
        check(&["$missing . a no"], &[r], &[r], &[]);
        check(&["$log . $missing no"], &[r], &[r], &[]);
        check(
            &[r#"$log "^say \"hi\"\n$" q no"#],
            &[r#"{"log":"say \"hi\"\n"}"#],
            &[],
            &[r#"q {"log":"say \"hi\"\n"}"#],
        );
        check(&[], &[r], &[r], &[]);
    }

    #[test]
    fn the_first_rule_that_fits_counts() {
        let (a, b, c) = (r#"{"l":"a","m":{"n":[1]}}"#, r#"{"l":"b"}"#, r#"{"l":"c"}"#);
        check(
            &["$l ^a$ x no", "$l [ab] y yes", "$l ^b$ z no"],
            &[a, b, c, a],
            &[b, c],
            &[&format!("x {a}"), &format!("x {a}"), &format!("y {b}")],
        );
    }

    #[test]
    fn time_and_many_tags() {
        let input: Vec<String> = (0..300).map(|n| format!(r#"{{"l":"v{}"}}"#, n % 100)).collect();
        let input: Vec<&str> = input.iter().map(String::as_str).collect();
        let mut b = batch("t", &input);
        let mut cx = FilterCx::new(Time(0));
        apply(&mut *instance(&PLUGIN, &[("Rule", "$l .* $l no")]), &mut b, &mut cx);
        let emitted = cx.take_emitted();
        assert!(b.is_empty());
        assert_eq!(emitted.len(), 100);
        for (n, e) in emitted.iter().enumerate() {
            let e = &e.batch;
            assert_eq!((&**e.tag(), e.len()), (format!("v{n}").as_str(), 3));
            let times = [0, 100, 200].map(|round| (START + n as i64 + round) * 1_000_000_000);
            assert_eq!(e.records().map(|r| r.time().0).collect::<Vec<_>>(), times);
        }
        assert!(cx.take_emitted().is_empty());
    }

    #[test]
    fn the_emitter_and_what_is_refused() {
        let e = instance(&PLUGIN, &[("Rule", "$a b c no")]).emits().unwrap();
        assert_eq!((e.name.as_str(), e.mem_buf_limit), ("emitter_for_rewrite_tag.0", 10_000_000));
        let conf = [("Rule", "$a b c no"), ("Emitter_Name", "re"), ("Emitter_Mem_Buf_Limit", "1M")];
        let e = instance(&PLUGIN, &conf).emits().unwrap();
        assert_eq!((e.name.as_str(), e.mem_buf_limit), ("re", 1_000_000));
        for (rule, part) in [
            ("$a b c", "there are 3 words"),
            ("$a b b c no", "there are 5 words"),
            ("$a ( c no", "the pattern '(' cannot be used"),
            ("$a b c perhaps", "'perhaps' is not a boolean"),
            ("$a b $TAG[x] no", "$TAG[n]"),
            ("$a.b b c no", "does not belong"),
        ] {
            let why = refused(&PLUGIN, &[("Rule", rule)]);
            assert!(why.contains(part), "{rule}: {why}");
        }
        assert!(said(&PLUGIN, &[]).contains("no rules have been defined"));
        assert_eq!(said(&PLUGIN, &[("Rule", "$a b c no"), ("emitter_storage.type", "filesystem")]), "");
        assert_eq!(said(&PLUGIN, &[("Rule", "$a b c no"), ("emitter_storage.type", "memory")]), "");
    }
}

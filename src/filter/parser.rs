//! `parser`: parses the text of a field and puts the fields found in its place.

use super::{Filter, FilterCx, FilterPlugin};
use crate::conf::{Many, PluginInfo};
use crate::event::{Accessor, Batch, Kind, Span};
use crate::parse::{Parsed, Parser};
use crate::plugin::MakeCx;

/// The plugin.
pub static PLUGIN: FilterPlugin = FilterPlugin {
    info: PluginInfo {
        name: "parser",
        doc: "Parses the text of a field and puts the fields found in its place.",
        keys: ParserFilterConf::KEYS,
        unserved: ParserFilterConf::UNSERVED,
        extra: &[],
    },
    make: |cx| make(cx),
};

crate::config! {
    /// Options of `parser`.
    pub struct ParserFilterConf {
        /// The field to parse; may be a record accessor. A record whose field is missing, no text or of another form stays
        /// as it is.
        key_name: String => "Key_Name" required,
        /// A parser to try; several are tried in written order until one fits.
        parser: Many<String> => "Parser" required,
        /// Keep the parsed field, too.
        preserve_key: bool => "Preserve_Key" = "off",
        /// Keep the other fields, behind the new ones.
        reserve_data: bool => "Reserve_Data" = "off",
    }
    unserved ["Unescape_key"]
}

struct ParserFilter {
    path: Accessor,
    parsers: Vec<Box<dyn Parser>>,
    preserve_key: bool,
    reserve_data: bool,
}

fn make(cx: &mut MakeCx<'_>) -> Option<Box<dyn Filter>> {
    let conf = ParserFilterConf::load(cx.section, cx.diags)?;
    let path = match Accessor::parse(&conf.key_name) {
        Ok(path) => path,
        Err(why) => return cx.refuse("Key_Name", why, "Write for example: Key_Name $kubernetes['labels']['app']"),
    };
    let mut parsers = Vec::new();
    let mut missing = Vec::new();
    for item in conf.parser {
        match cx.parsers.get(&item.value) {
            Ok(def) => parsers.push(def.make()),
            Err(why) => missing.push((item.place, why)),
        }
    }
    let who = cx.section.who();
    for (place, why) in missing {
        if parsers.is_empty() {
            cx.diags.error_help(&place, format!("{who} {}", why.message), why.help);
        } else {
            cx.diags.warn_help(&place, format!("{who} {}; it is left out", why.message), why.help);
        }
    }
    if parsers.is_empty() {
        return None;
    }
    let (preserve_key, reserve_data) = (conf.preserve_key, conf.reserve_data);
    Some(Box::new(ParserFilter { path, parsers, preserve_key, reserve_data }))
}

impl Filter for ParserFilter {
    fn apply(&mut self, batch: &mut Batch, cx: &mut FilterCx) {
        for i in batch.fresh() {
            let Some(at) = self.path.locate(batch.body(i)) else { continue };
            let Some(text) = text_at(batch, i, at) else { continue };
            let mark = batch.begin();
            let found = self.parsers.iter_mut().find_map(|p| match p.parse(batch, text, cx.now) {
                Parsed::Hit(time) => Some(time),
                Parsed::Miss => None,
            });
            let Some(time) = found else { continue };
            // Where the parsed field is part of another one, that other one is kept as a whole or not at all.
            let is_field = !self.path.is_nested();
            let mut from = 0;
            while let Some(&cell) = batch.body(i).run().get(from) {
                let is_parsed = from == at && is_field;
                let keep = if is_parsed { self.preserve_key } else { self.reserve_data };
                if keep {
                    batch.copy_value(i, from, cell.key);
                }
                from += cell.width();
            }
            batch.replace_body(i, mark);
            if let Some(time) = time {
                batch.set_time(i, time);
            }
        }
    }
}

/// The plain bytes of a text or of opaque bytes.
fn text_at(batch: &mut Batch, i: usize, at: usize) -> Option<Span> {
    let cell = *batch.body(i).run().get(at)?;
    match cell.kind {
        Kind::Bin => Some(cell.span()),
        _ => batch.plain_text(&cell),
    }
}

#[cfg(test)]
mod tests {
    use super::PLUGIN;
    use crate::filter::FilterCx;
    use crate::filter::testing::{START, apply, batch, check, instance, lines, refused, said};
    use crate::time::Time;

    const R: &str = r#"{"a":1,"log":"{\"k\":1,\"t\":\"x\"}","b":{"c":2}}"#;

    fn json(more: &[(&str, &str)], input: &str, expected: &str) {
        check(&PLUGIN, &[&[("Key_Name", "log"), ("Parser", "json")], more].concat(), &[input], &[expected]);
    }

    #[test]
    fn fields_take_the_place_of_the_text() {
        json(&[], R, r#"{"k":1,"t":"x"}"#);
        json(&[("Preserve_Key", "on")], R, r#"{"k":1,"t":"x","log":"{\"k\":1,\"t\":\"x\"}"}"#);
        json(&[("Reserve_Data", "on")], R, r#"{"k":1,"t":"x","a":1,"b":{"c":2}}"#);
        json(
            &[("Reserve_Data", "on"), ("Preserve_Key", "on")],
            R,
            r#"{"k":1,"t":"x","a":1,"log":"{\"k\":1,\"t\":\"x\"}","b":{"c":2}}"#,
        );
        json(&[("Reserve_Data", "on")], r#"{"log":"{\"a\":2}","a":1}"#, r#"{"a":2,"a":1}"#);
        json(&[], r#"{"log":"{}"}"#, "{}");
    }

    #[test]
    fn what_does_not_fit_stays() {
        for r in [r#"{"log":"no json","a":1}"#, r#"{"log":5}"#, r#"{"log":{"a":1}}"#, r#"{"lag":"{}"}"#, "{}"] {
            json(&[("Reserve_Data", "on")], r, r);
        }
    }

    #[test]
    fn nested_fields() {
        let r = r#"{"m":{"log":"{\"k\":[1]}","x":2},"b":3}"#;
        let conf =
            |more: &[(&'static str, &'static str)]| [&[("Key_Name", "$m['log']"), ("Parser", "json")], more].concat();
        check(&PLUGIN, &conf(&[]), &[r], &[r#"{"k":[1]}"#]);
        let kept = r#"{"k":[1],"m":{"log":"{\"k\":[1]}","x":2},"b":3}"#;
        check(&PLUGIN, &conf(&[("Reserve_Data", "on")]), &[r], &[kept]);
        check(&PLUGIN, &[("Key_Name", "$log"), ("Parser", "json")], &[R], &[r#"{"k":1,"t":"x"}"#]);
    }

    #[test]
    fn parsers_are_tried_in_order_and_the_time_counts() {
        let conf = [("Key_Name", "log"), ("Parser", "cri"), ("Parser", "json"), ("Reserve_Data", "on")];
        let mut f = instance(&PLUGIN, &conf);
        let cri = r#"{"log":"2024-05-06T07:08:09.5Z stdout F say \"hi\"","a":1}"#;
        let mut b = batch("t", &[cri, r#"{"log":"{\"k\":1}"}"#, r#"{"log":"?"}"#]);
        apply(&mut *f, &mut b, &mut FilterCx::new(Time(0)));
        let got = lines(&b);
        assert!(got[0].contains(r#""stream":"stdout","logtag":"F","message":"say \"hi\"","#), "{got:?}");
        assert!(got[0].ends_with(r#","a":1}"#), "{got:?}");
        assert_eq!(got[1..], [r#"{"k":1}"#, r#"{"log":"?"}"#]);
        let times: Vec<_> = b.records().map(|r| r.time().0).collect();
        assert_eq!(times, [1_714_979_289_500_000_000, (START + 1) * 1_000_000_000, (START + 2) * 1_000_000_000]);
    }

    #[test]
    fn findings() {
        let why = refused(&PLUGIN, &[("Key_Name", "log"), ("Parser", "jsn")]);
        assert!(why.contains("jsn") && why.contains("json"), "{why}");
        assert!(refused(&PLUGIN, &[("Key_Name", "log")]).contains("'Parser' is required"));
        assert!(refused(&PLUGIN, &[("Parser", "json")]).contains("'Key_Name' is required"));
        assert!(refused(&PLUGIN, &[("Key_Name", "$a.b"), ("Parser", "json")]).contains("does not belong"));
        let warned = said(&PLUGIN, &[("Key_Name", "log"), ("Parser", "jsn"), ("Parser", "json")]);
        assert!(warned.contains("left out"), "{warned}");
        assert!(said(&PLUGIN, &[("Key_Name", "a"), ("Parser", "json"), ("Unescape_Key", "on")]).contains("not served"));
    }
}

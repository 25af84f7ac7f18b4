//! `nest`: moves fields into a map, or the fields of a map out of it.

use super::keys::KeyTest;
use super::{Filter, FilterCx, FilterPlugin};
use crate::conf::{Many, PluginInfo};
use crate::event::draft::runs;
use crate::event::{Batch, Cell, Draft, Key, Kind};
use crate::parse::pace::Pace;
use crate::plugin::MakeCx;
use rustc_hash::FxHashMap;

/// The plugin.
pub static PLUGIN: FilterPlugin = FilterPlugin {
    info: PluginInfo {
        name: "nest",
        doc: "Moves fields into a map, or the fields of a map out of it.",
        keys: NestConf::KEYS,
        unserved: NestConf::UNSERVED,
        extra: &[],
    },
    make: |cx| make(cx),
};

crate::config! {
    /// Options of `nest`.
    pub struct NestConf {
        /// `nest` moves fields into a map at the end of the record, `lift` moves the fields of a map to the end of the
        /// record.
        operation: Operation => "Operation" required,
        /// A field to nest; a `*` at the end stands for any ending.
        wildcard: Many<String> => "Wildcard",
        /// The map to nest under.
        nest_under: Option<String> => "Nest_under",
        /// The map to lift from.
        nested_under: Option<String> => "Nested_under",
        /// Put before the names of the fields that move.
        add_prefix: Option<String> => "Add_prefix",
        /// Taken from the names of the fields that move, where they begin so.
        remove_prefix: Option<String> => "Remove_prefix",
    }
}

crate::conf_enum! {
    /// The direction.
    pub enum Operation {
        /// Into a map.
        Nest = "nest",
        /// Out of a map.
        Lift = "lift",
    }
}

#[derive(Debug)]
struct Nest {
    label: String,
    operation: Operation,
    /// The fields to nest.
    chosen: KeyTest,
    under: Key,
    names: Names,
    body: Draft,
    out: Vec<Cell>,
    pace: Pace,
}

fn make(cx: &mut MakeCx<'_>) -> Option<Box<dyn Filter>> {
    let conf = NestConf::load(cx.section, cx.diags)?;
    let change = match (conf.add_prefix, conf.remove_prefix) {
        (Some(_), Some(_)) => {
            let what = "Add_prefix and Remove_prefix are exclusive";
            return cx.refuse("Remove_prefix", what, "Use two nest filters, or a modify filter behind this one.");
        }
        (Some(prefix), None) => Change::Add(prefix),
        (None, Some(prefix)) => Change::Remove(prefix),
        (None, None) => Change::None,
    };
    let lifts = conf.operation == Operation::Lift;
    // Each is taken for the other, too.
    let under = if lifts { conf.nested_under.or(conf.nest_under) } else { conf.nest_under.or(conf.nested_under) };
    let Some(under) = under else {
        return match lifts {
            true => cx.refuse("Operation", "Operation lift needs 'Nested_under'", "Add for example: Nested_under map"),
            false => cx.refuse("Operation", "Operation nest needs 'Nest_under'", "Add for example: Nest_under map"),
        };
    };
    if !lifts && conf.wildcard.is_empty() {
        return cx.refuse("Operation", "Operation nest needs 'Wildcard'", "Add for example: Wildcard Mem.*");
    }
    Some(Box::new(Nest {
        label: cx.label(),
        operation: conf.operation,
        chosen: KeyTest::any_of(conf.wildcard.values().map(String::as_str), false),
        under: Key::of(&under),
        names: Names { change, known: FxHashMap::default() },
        body: Draft::default(),
        out: Vec::new(),
        pace: Pace::default(),
    }))
}

impl Filter for Nest {
    fn apply(&mut self, batch: &mut Batch, cx: &mut FilterCx) {
        for i in batch.fresh() {
            self.body.load(batch, i);
            self.out.clear();
            let changed = match self.operation {
                Operation::Nest => self.nest(batch),
                Operation::Lift => self.lift(batch, cx),
            };
            if changed {
                batch.set_body(i, &self.out);
            }
        }
    }
}

impl Nest {
    fn nest(&mut self, batch: &mut Batch) -> bool {
        let mut any = false;
        for (key, run) in self.body.runs() {
            if self.chosen.is(batch, key) {
                any = true;
            } else {
                self.out.extend_from_slice(run);
            }
        }
        if !any {
            return false;
        }
        let head = self.out.len();
        self.out.push(Cell::nested(self.under, Kind::Map, 0, 0));
        let mut entries = 0;
        for (key, run) in self.body.runs() {
            if self.chosen.is(batch, key) {
                push_as(&mut self.out, self.names.of(batch, key), run);
                entries += 1;
            }
        }
        let cells = self.out.len() - head - 1;
        if let Some(map) = self.out.get_mut(head) {
            (map.a, map.b) = (entries, cells as u32);
        }
        true
    }

    fn lift(&mut self, batch: &mut Batch, cx: &FilterCx) -> bool {
        let mut any = false;
        for (key, run) in self.body.runs() {
            match run {
                [Cell { kind: Kind::Map, .. }, ..] if key == self.under => any = true,
                _ => {
                    self.out.extend_from_slice(run);
                    if key == self.under
                        && let Some(held) = self.pace.allow(cx.now)
                    {
                        let name = String::from_utf8_lossy(batch.key_name(key));
                        log::info!("[{}] Value of key '{name}' is not a map. Will not lift from it{held}", self.label);
                    }
                }
            }
        }
        if !any {
            return false;
        }
        for (key, run) in self.body.runs() {
            if let [Cell { kind: Kind::Map, .. }, inner @ ..] = run
                && key == self.under
            {
                for (key, run) in runs(inner) {
                    push_as(&mut self.out, self.names.of(batch, key), run);
                }
            }
        }
        true
    }
}

fn push_as(out: &mut Vec<Cell>, key: Key, run: &[Cell]) {
    let at = out.len();
    out.extend_from_slice(run);
    if let Some(head) = out.get_mut(at) {
        head.key = key;
    }
}

/// The new names of the fields that move.
#[derive(Debug)]
struct Names {
    change: Change,
    known: FxHashMap<Key, Key>,
}

#[derive(Debug)]
enum Change {
    None,
    Add(String),
    Remove(String),
}

impl Names {
    fn of(&mut self, batch: &mut Batch, key: Key) -> Key {
        if let Some(&known) = self.known.get(&key) {
            return known;
        }
        let name = batch.key_name(key);
        let new = match &self.change {
            Change::None => return key,
            Change::Add(prefix) => [prefix.as_bytes(), name].concat(),
            Change::Remove(prefix) => match name.strip_prefix(prefix.as_bytes()) {
                Some(rest) => rest.to_vec(),
                None => return key,
            },
        };
        let new = batch.key(&new);
        if !key.is_local() && !new.is_local() {
            self.known.insert(key, new);
        }
        new
    }
}

#[cfg(test)]
mod tests {
    use super::PLUGIN;
    use crate::filter::testing::{check, refused};

    const R: &str = r#"{"a_1":1,"log":"x","a_2":{"k":[1]},"b":3}"#;

    fn nest(more: &[(&str, &str)], expected: &str) {
        check(&PLUGIN, &[&[("Operation", "nest")], more].concat(), &[R], &[expected]);
    }

    fn lift(more: &[(&str, &str)], input: &str, expected: &str) {
        check(&PLUGIN, &[&[("Operation", "lift"), ("Nested_under", "m")], more].concat(), &[input], &[expected]);
    }

    #[test]
    fn fields_go_into_a_map_at_the_end() {
        nest(&[("Wildcard", "a_*"), ("Nest_under", "m")], r#"{"log":"x","b":3,"m":{"a_1":1,"a_2":{"k":[1]}}}"#);
        nest(
            &[("Wildcard", "a_*"), ("Nest_under", "m"), ("Remove_prefix", "a_")],
            r#"{"log":"x","b":3,"m":{"1":1,"2":{"k":[1]}}}"#,
        );
        nest(
            &[("Wildcard", "b"), ("Wildcard", "log"), ("Nest_under", "m"), ("Add_prefix", "p.")],
            r#"{"a_1":1,"a_2":{"k":[1]},"m":{"p.log":"x","p.b":3}}"#,
        );
        nest(&[("Wildcard", "a_"), ("Nest_under", "m")], R);
        nest(&[("Wildcard", "zz*"), ("Nest_under", "m")], R);
        nest(&[("Wildcard", "*"), ("Nest_under", "b")], r#"{"b":{"a_1":1,"log":"x","a_2":{"k":[1]},"b":3}}"#);
        let long = "k".repeat(300);
        let input = format!(r#"{{"{long}":1}}"#);
        let expected = format!(r#"{{"m":{{"p{long}":1}}}}"#);
        let conf = [("Operation", "nest"), ("Wildcard", "k*"), ("Nest_under", "m"), ("Add_prefix", "p")];
        check(&PLUGIN, &conf, &[&input], &[&expected]);
    }

    #[test]
    fn fields_come_out_of_a_map_to_the_end() {
        let r = r#"{"m":{"x":1,"y":{"z":[2]}},"log":"l"}"#;
        lift(&[], r, r#"{"log":"l","x":1,"y":{"z":[2]}}"#);
        lift(&[("Add_prefix", "m_")], r, r#"{"log":"l","m_x":1,"m_y":{"z":[2]}}"#);
        lift(&[("Remove_prefix", "x")], r, r#"{"log":"l","":1,"y":{"z":[2]}}"#);
        lift(&[], r#"{"m":{},"a":1}"#, r#"{"a":1}"#);
        lift(&[], r#"{"m":1,"a":{"m":{"x":1}}}"#, r#"{"m":1,"a":{"m":{"x":1}}}"#);
        lift(&[], r#"{"m":[1],"m":{"x":1},"b":2,"m":{"y":2}}"#, r#"{"m":[1],"b":2,"x":1,"y":2}"#);
        lift(&[], "{}", "{}");
    }

    #[test]
    fn what_is_refused() {
        for (conf, part) in [
            (&[][..], "'Operation' is required"),
            (&[("Operation", "flatten")], "'flatten' is not one of: nest lift"),
            (&[("Operation", "nest"), ("Wildcard", "a")], "needs 'Nest_under'"),
            (&[("Operation", "nest"), ("Nest_under", "a")], "needs 'Wildcard'"),
            (&[("Operation", "lift")], "needs 'Nested_under'"),
            (
                &[("Operation", "lift"), ("Nested_under", "m"), ("Add_prefix", "a"), ("Remove_prefix", "b")],
                "are exclusive",
            ),
        ] {
            let why = refused(&PLUGIN, conf);
            assert!(why.contains(part), "{conf:?}: {why}");
        }
        check(&PLUGIN, &[("Operation", "LIFT"), ("Nest_under", "m")], &[r#"{"m":{"a":1}}"#], &[r#"{"a":1}"#]);
    }
}

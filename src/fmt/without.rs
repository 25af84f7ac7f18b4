//! A map without some of its entries, nested ones included: what is left of a record when fields of it were used elsewhere.

use super::json_write::{JsonOpts, write_key, write_value};
use crate::event::{Accessor, Cells, Key, Kind, Value};

/// A map, some entries of which are left out.
#[derive(Debug, Clone, Copy)]
pub struct Without<'a, 's> {
    body: Cells<'a>,
    /// Cells of the body's run, in order: heads of the values that are left out.
    skip: &'s [usize],
    from: usize,
    to: usize,
}

/// A value of it.
pub enum Left<'a, 's> {
    /// All of it is there.
    Whole(Value<'a>),
    /// A map in which something is left out.
    Part(Without<'a, 's>),
}

impl<'a, 's> Without<'a, 's> {
    /// The body without the values of these paths; `skip` holds their places.
    pub fn new(body: Cells<'a>, paths: &[Accessor], skip: &'s mut Vec<usize>) -> Self {
        skip.clear();
        skip.extend(paths.iter().filter_map(|path| path.locate(body)));
        skip.sort_unstable();
        Self { body, skip, from: 0, to: body.run().len() }
    }

    /// The name of a key of it.
    pub fn name(&self, key: Key) -> &'a [u8] {
        self.body.name(key)
    }

    /// What is left, in order.
    pub fn entries(self) -> impl Iterator<Item = (Key, Left<'a, 's>)> {
        let mut at = self.from;
        std::iter::from_fn(move || {
            loop {
                let cell = self.body.run().get(at).filter(|_| at < self.to)?;
                let here = at;
                at += cell.width();
                if self.skip.binary_search(&here).is_ok() {
                    continue;
                }
                let is_touched = self.skip.iter().any(|s| (here + 1..at).contains(s));
                let left = if is_touched && cell.kind == Kind::Map {
                    Left::Part(Self { from: here + 1, to: at, ..self })
                } else {
                    Left::Whole(self.body.value_at(here)?)
                };
                return Some((cell.key, left));
            }
        })
    }

    /// The only entry that is left, if it is the only one.
    pub fn single(self) -> Option<Left<'a, 's>> {
        let mut entries = self.entries();
        let (_, left) = entries.next()?;
        entries.next().is_none().then_some(left)
    }

    /// Appends it as JSON.
    pub fn write_json(self, opts: JsonOpts, out: &mut Vec<u8>) {
        out.push(b'{');
        for (n, (key, left)) in self.entries().enumerate() {
            if n > 0 {
                out.push(b',');
            }
            write_key(self.body, key, opts, out);
            left.write_json(opts, out);
        }
        out.push(b'}');
    }
}

impl Left<'_, '_> {
    /// Appends it as JSON.
    pub fn write_json(&self, opts: JsonOpts, out: &mut Vec<u8>) {
        match self {
            Self::Whole(value) => write_value(value, opts, out),
            Self::Part(map) => map.write_json(opts, out),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{Batch, Tag};
    use crate::fmt::json_read::JsonReader;

    #[test]
    fn entries_are_left_out() {
        let mut b = Batch::new(Tag::new("t"));
        let text = b.arena_mut().push(br#"{"a":1,"m":{"x":{"y":2,"z":[{"q":3}]},"w":4},"l":[{"k":5}],"a":6}"#);
        let mark = b.begin();
        JsonReader::default().object(&mut b, text).unwrap();
        for (paths, expected) in [
            (&[][..], r#"{"a":1,"m":{"x":{"y":2,"z":[{"q":3}]},"w":4},"l":[{"k":5}],"a":6}"#),
            (&["$a", "$none", "$m['none']"], r#"{"a":1,"m":{"x":{"y":2,"z":[{"q":3}]},"w":4},"l":[{"k":5}]}"#),
            (&["$m['x']['y']", "$m['w']"], r#"{"a":1,"m":{"x":{"z":[{"q":3}]}},"l":[{"k":5}],"a":6}"#),
            (&["$m['x']", "$m['w']", "$l"], r#"{"a":1,"m":{},"a":6}"#),
            (&["$m", "$m['x']"], r#"{"a":1,"l":[{"k":5}],"a":6}"#),
            (&["$l[0]['k']"], r#"{"a":1,"m":{"x":{"y":2,"z":[{"q":3}]},"w":4},"l":[{"k":5}],"a":6}"#),
        ] {
            let paths: Vec<_> = paths.iter().map(|p| Accessor::parse(p).unwrap()).collect();
            let (mut skip, mut out) = (Vec::new(), Vec::new());
            Without::new(b.since(mark), &paths, &mut skip).write_json(JsonOpts::default(), &mut out);
            assert_eq!(String::from_utf8(out).unwrap(), expected, "{paths:?}");
        }
        let paths: Vec<_> = ["$m", "$l", "$a"].iter().map(|p| Accessor::parse(p).unwrap()).collect();
        let mut skip = Vec::new();
        assert!(matches!(Without::new(b.since(mark), &paths, &mut skip).single(), Some(Left::Whole(Value::Int(1)))));
        assert!(Without::new(b.since(mark), &paths[..2], &mut skip).single().is_none());
    }
}

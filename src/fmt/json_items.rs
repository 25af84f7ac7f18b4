//! Taking an object apart while it arrives: its entries one by one, and the elements of one of its arrays one by one.
//!
//! For lists that are larger than memory: no more than one entry or element is kept, and one that is longer than the limit is
//! passed over.

use super::json_frame::JsonFrame;

/// What was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part<'a> {
    /// An entry of the object itself: the key as it is written between its quotes, and the text of the value.
    Entry(&'a [u8], &'a [u8]),
    /// An element of the array, as text.
    Item(&'a [u8]),
    /// An element or an entry was longer than the limit and is not given out.
    TooLong,
}

/// The text is not an object, or does not go on as one. Nothing is read behind that.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NotJson;

/// Takes one object apart. Give it the text in pieces.
#[derive(Debug)]
pub struct JsonItems {
    array: &'static str,
    most: usize,
    at: At,
    key: Vec<u8>,
    value: Vec<u8>,
    frame: JsonFrame,
    /// A number or word, which ends where something else begins.
    word: bool,
    /// The value is longer than the limit: what is kept of it is only a window.
    cut: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum At {
    Start,
    /// Before a key or the end; a comma is due unless it is the first.
    Key {
        first: bool,
    },
    InKey,
    Colon,
    /// Before a value of the object.
    Value,
    InValue,
    /// Before an element or the end of the array.
    Item {
        first: bool,
    },
    InItem,
    Done,
}

impl JsonItems {
    /// The elements of the entry `array` are given out one by one; a part may have `most` bytes.
    pub fn new(array: &'static str, most: usize) -> Self {
        let (key, value) = (Vec::new(), Vec::new());
        Self { array, most, at: At::Start, key, value, frame: JsonFrame::default(), word: false, cut: false }
    }

    /// Whether the object came to its end.
    pub fn is_done(&self) -> bool {
        self.at == At::Done
    }

    /// Takes the next piece and tells `found` what is whole now. What stands behind the end is overlooked.
    ///
    /// # Errors
    /// When it is no object.
    pub fn feed(&mut self, piece: &[u8], mut found: impl FnMut(Part<'_>)) -> Result<(), NotJson> {
        let mut rest = piece;
        while let Some((&byte, behind)) = rest.split_first() {
            let blank = matches!(byte, b' ' | b'\t' | b'\n' | b'\r');
            match self.at {
                At::Done => return Ok(()),
                At::InKey | At::InValue | At::InItem => {
                    rest = self.inside(rest, &mut found);
                    continue;
                }
                _ if blank => {}
                At::Start if byte == b'{' => self.at = At::Key { first: true },
                At::Key { .. } if byte == b'}' => self.at = At::Done,
                At::Key { first: false } if byte == b',' => self.at = At::Key { first: true },
                At::Key { first: true } if byte == b'"' => {
                    self.begin(At::InKey, byte);
                    continue;
                }
                At::Colon if byte == b':' => self.at = At::Value,
                At::Value if byte == b'[' && self.key == self.array.as_bytes() => self.at = At::Item { first: true },
                At::Item { .. } if byte == b']' => self.at = At::Key { first: false },
                At::Item { first: false } if byte == b',' => self.at = At::Item { first: true },
                At::Value if begins(byte) => {
                    self.begin(At::InValue, byte);
                    continue;
                }
                At::Item { first: true } if begins(byte) => {
                    self.begin(At::InItem, byte);
                    continue;
                }
                _ => return Err(NotJson),
            }
            rest = behind;
        }
        Ok(())
    }

    fn begin(&mut self, at: At, byte: u8) {
        self.at = at;
        self.word = !matches!(byte, b'"' | b'{' | b'[');
        (self.frame, self.cut) = (JsonFrame::default(), false);
        if at == At::InKey { self.key.clear() } else { self.value.clear() }
    }

    /// Takes bytes of a key or value; answers what stands behind it.
    fn inside<'a>(&mut self, rest: &'a [u8], found: &mut impl FnMut(Part<'_>)) -> &'a [u8] {
        let text = if self.at == At::InKey { &mut self.key } else { &mut self.value };
        let (used, whole) = if self.word {
            let len =
                rest.iter().take_while(|b| !matches!(b, b',' | b'}' | b']' | b' ' | b'\t' | b'\n' | b'\r')).count();
            text.extend_from_slice(rest.get(..len).unwrap_or_default());
            (len, len < rest.len())
        } else {
            let before = text.len();
            text.extend_from_slice(rest);
            let whole = self.frame.may_be_whole(text);
            let end = self.frame.seen();
            if whole {
                text.truncate(end);
                (end - before, true)
            } else {
                (rest.len(), false)
            }
        };
        if text.len() > self.most {
            self.cut = true;
        }
        if whole {
            self.end(found);
        } else if self.cut {
            // What was looked at is not needed any more.
            if self.word { text.clear() } else { self.frame.forget(text) }
        }
        rest.get(used..).unwrap_or_default()
    }

    fn end(&mut self, found: &mut impl FnMut(Part<'_>)) {
        self.at = match self.at {
            At::InKey => {
                // The quotes go; a key that long is no key of ours.
                self.key.pop();
                let quote = if self.cut { self.key.len() } else { 1.min(self.key.len()) };
                self.key.drain(..quote);
                At::Colon
            }
            At::InItem => {
                found(if self.cut { Part::TooLong } else { Part::Item(&self.value) });
                At::Item { first: false }
            }
            _ => {
                found(if self.cut { Part::TooLong } else { Part::Entry(&self.key, &self.value) });
                At::Key { first: false }
            }
        };
        // One large part must not stay in memory for the rest of the list.
        if self.value.capacity() > KEPT {
            self.value = Vec::new();
        }
    }
}

/// What is kept of the memory for a part when the part is done.
const KEPT: usize = 64 << 10;

fn begins(byte: u8) -> bool {
    matches!(byte, b'"' | b'{' | b'[' | b'-' | b't' | b'f' | b'n' | b'0'..=b'9')
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::Value;

    /// Everything found, as text.
    fn read(text: &[u8], step: usize, most: usize) -> (Vec<String>, bool) {
        let mut items = JsonItems::new("items", most);
        let mut all = Vec::new();
        let show = |b: &[u8]| String::from_utf8_lossy(b).into_owned();
        for piece in text.chunks(step) {
            let fed = items.feed(piece, |part| {
                all.push(match part {
                    Part::Entry(key, value) => format!("{}={}", show(key), show(value)),
                    Part::Item(text) => show(text),
                    Part::TooLong => "too long".into(),
                });
            });
            if fed.is_err() {
                all.push("not JSON".into());
                break;
            }
        }
        (all, items.is_done())
    }

    #[test]
    fn a_list_comes_apart_however_it_arrives() {
        let text = br#" {"kind" : "L", "metadata":{"items":[1],"continue":"a\"b"},
            "items":[ {"a":"]}"} , {} ,7,"x\\"], "n":12 }  behind"#;
        let want = [
            "kind=\"L\"",
            r#"metadata={"items":[1],"continue":"a\"b"}"#,
            r#"{"a":"]}"}"#,
            "{}",
            "7",
            r#""x\\""#,
            "n=12",
        ];
        for step in 1..text.len() {
            assert_eq!(read(text, step, 100), (want.map(str::to_owned).to_vec(), true), "{step}");
        }
        assert_eq!(read(br#"{"items":null}"#, 3, 100).0, ["items=null"]);
        assert_eq!(read(br#"{"items":[]}"#, 3, 100), (vec![], true));
        assert_eq!(read(b"{}", 1, 100), (vec![], true));
    }

    #[test]
    fn long_parts_are_passed_over_in_little_memory() {
        let long = format!("{{\"a\":\"{}\\\\\",\"b\":[\"]\"]}}", "x\\\"".repeat(40_000));
        let text = format!("{{\"m\":{long},\"items\":[{{}},{long},{{\"z\":1}}],\"n\":1}}");
        for step in [1, 7, 1000, 1 << 20] {
            let (all, done) = read(text.as_bytes(), step, 20);
            assert_eq!((all.join(" "), done), ("too long {} too long {\"z\":1} n=1".to_owned(), true), "{step}");
        }
        let mut items = JsonItems::new("items", 20);
        for piece in text.as_bytes().chunks(100) {
            items.feed(piece, |_| {}).unwrap();
            assert!(items.value.capacity() < 4096, "{}", items.value.capacity());
        }
    }

    #[test]
    fn what_is_no_object_is_said() {
        for text in
            ["[1]", "<html>", "{a:1}", "{\"a\" 1}", "{\"a\":}", "{\"items\":[1 2]}", "{\"a\":1 \"b\":2}", "{,}", "7"]
        {
            assert!(read(text.as_bytes(), 1, 100).0.contains(&"not JSON".into()), "{text}");
        }
        assert!(!read(b"{\"items\":[{}", 4, 100).1);
    }

    proptest! {
        #[test]
        fn items_are_those_of_the_list(values in prop::collection::vec(prop_oneof![
            any::<i32>().prop_map(Value::from), "\\PC{0,20}".prop_map(Value::from),
            prop::collection::btree_map("[a-z\"\\\\]{0,4}", "\\PC{0,9}", 0..4).prop_map(|m| m.into_iter().map(|(k, v)| (k, Value::from(v))).collect()),
        ], 0..9), step in 1usize..50, pretty in any::<bool>()) {
            let list = serde_json::json!({"a": 1, "items": values.clone()});
            let text = if pretty { serde_json::to_string_pretty(&list) } else { serde_json::to_string(&list) }.unwrap();
            let (all, done) = read(text.as_bytes(), step, 1000);
            prop_assert!(done);
            let got: Vec<Value> = all.iter().filter(|t| !t.starts_with("a=")).map(|t| serde_json::from_str(t).unwrap()).collect();
            prop_assert_eq!(got, values);
        }

        #[test]
        fn nothing_makes_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..200), step in 1usize..40) {
            read(&bytes, step, 9);
        }
    }
}

//! `config!`: one documented struct becomes the key table, the loader with its checks, the help and the documents.

use super::section::{Entry, Section};
use super::value::FromConf;
use crate::error::{Diags, Place};

/// One key of a plugin, as help, documents and checks need it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeyDef {
    /// As written in documents; compared without regard to case. A `*` at the end stands for any ending.
    pub name: &'static str,
    /// The word for its values: `boolean`, `size`, `text` …
    pub kind: &'static str,
    /// What is taken when the key is absent, as text.
    pub default: Option<&'static str>,
    /// May be repeated; all its values are kept in order.
    pub many: bool,
    /// Must be given.
    pub required: bool,
    /// The documentation; lines joined, each with the space it began with.
    pub doc: &'static str,
}

/// A table of keys that belong together, with the keys that are known but not served yet.
#[derive(Debug, Clone, Copy)]
pub struct Table {
    /// The keys that are served.
    pub keys: &'static [KeyDef],
    /// Keys that exist elsewhere but not here yet: accepted with a warning. `name=value` is silent for that value.
    pub unserved: &'static [&'static str],
}

impl Table {
    /// The names of the keys that are not served yet.
    pub fn unserved_names(&self) -> impl Iterator<Item = &'static str> + use<> {
        self.unserved.iter().map(|declared| declared.split_once('=').map_or(*declared, |(name, _)| name))
    }
}

/// The values of a key that may be repeated, in written order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Many<T>(pub Vec<Item<T>>);

/// One value of a repeated key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item<T> {
    /// Its position among all entries of the section, so that several keys can be interleaved in written order.
    pub ordinal: usize,
    /// Where the value stands.
    pub place: Place,
    /// The key as written (for keys that end in `*`).
    pub key: String,
    /// The value.
    pub value: T,
}

impl<T> Default for Many<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T> Many<T> {
    /// The values alone.
    pub fn values(&self) -> impl Iterator<Item = &T> {
        self.0.iter().map(|i| &i.value)
    }

    /// Whether the key was not given.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl<T> IntoIterator for Many<T> {
    type Item = Item<T>;
    type IntoIter = std::vec::IntoIter<Item<T>>;
    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

/// How a field of a `config!` struct is filled: once (`T`), perhaps (`Option<T>`), or repeatedly (`Many<T>`).
pub trait Field: Sized {
    /// The word for its values.
    const KIND: &'static str;
    /// Takes all values of a repeated key.
    const MANY: bool;
    /// Needs a default or `required` in its declaration.
    const SINGLE: bool;
    /// Reads the field; what is wrong goes to `diags`, and `None` comes back.
    fn load(section: &Section, key: &KeyDef, diags: &mut Diags) -> Option<Self>;
}

impl<T: FromConf> Field for T {
    const KIND: &'static str = T::KIND;
    const MANY: bool = false;
    const SINGLE: bool = true;
    fn load(section: &Section, key: &KeyDef, diags: &mut Diags) -> Option<Self> {
        if let Some(entry) = once(section, key, diags) {
            return convert(section, entry, diags);
        }
        match key.default.map(T::from_conf) {
            Some(Ok(value)) => Some(value),
            Some(Err(why)) => {
                diags.error(&section.place, format!("{} default of '{}': {why}", section.who(), key.name));
                None
            }
            None => {
                diags.error_help(
                    &section.place,
                    format!("{} the property '{}' is required", section.who(), key.name),
                    format!("Add for example: {} {}", key.name, T::EXAMPLE),
                );
                None
            }
        }
    }
}

impl<T: FromConf> Field for Option<T> {
    const KIND: &'static str = T::KIND;
    const MANY: bool = false;
    const SINGLE: bool = false;
    fn load(section: &Section, key: &KeyDef, diags: &mut Diags) -> Option<Self> {
        match once(section, key, diags) {
            Some(entry) => convert(section, entry, diags).map(Some),
            None => Some(None),
        }
    }
}

impl<T: FromConf> Field for Many<T> {
    const KIND: &'static str = T::KIND;
    const MANY: bool = true;
    const SINGLE: bool = false;
    fn load(section: &Section, key: &KeyDef, diags: &mut Diags) -> Option<Self> {
        let mut all = Some(Vec::new());
        for (ordinal, entry) in section.all(key.name) {
            let value = convert(section, entry, diags);
            // Go on after a bad value: every bad one is reported.
            all = all.zip(value).map(|(mut list, value)| {
                list.push(Item { ordinal, place: entry.value_place.clone(), key: entry.key.clone(), value });
                list
            });
        }
        let all = all?;
        if all.is_empty() && key.required {
            diags.error_help(
                &section.place,
                format!("{} the property '{}' is required", section.who(), key.name),
                format!("Add for example: {} {}", key.name, T::EXAMPLE),
            );
            return None;
        }
        Some(Self(all))
    }
}

/// The last entry of a key that holds one value; the earlier ones are warned about.
fn once<'a>(section: &'a Section, key: &'a KeyDef, diags: &mut Diags) -> Option<&'a Entry> {
    let mut found: Option<&Entry> = None;
    for (_, entry) in section.all(key.name) {
        if let Some(old) = found {
            let (old, new) = (shown(key.name, &old.value), shown(key.name, &entry.value));
            diags.warn(
                &entry.place,
                format!(
                    "{} property '{}' is already specified with value '{old}'. Overwriting with '{new}'",
                    section.who(),
                    entry.key
                ),
            );
        }
        found = Some(entry);
    }
    found
}

/// A value as it may appear in a message: secrets stay out of logs.
fn shown<'a>(key: &str, value: &'a str) -> &'a str {
    const SECRET: [&str; 7] = ["passw", "token", "secret", "api_key", "apikey", "auth", "shared_key"];
    let key = key.to_ascii_lowercase();
    if SECRET.iter().any(|s| key.contains(s)) { "***" } else { value }
}

fn convert<T: FromConf>(section: &Section, entry: &Entry, diags: &mut Diags) -> Option<T> {
    match T::from_conf(&entry.value) {
        Ok(value) => {
            if let Some(note) = value.caution(&entry.value) {
                diags.warn(&entry.value_place, format!("{} {}: {note}", section.who(), entry.key));
            }
            Some(value)
        }
        Err(why) => {
            let help = format!("Write for example: {} {}", entry.key, T::EXAMPLE);
            diags.error_help(&entry.value_place, format!("{} {}: {why}", section.who(), entry.key), help);
            None
        }
    }
}

/// Declares the keys of a plugin as a struct.
///
/// ```
/// use collector::conf::{Many, Section};
/// collector::config! {
///     /// Options of an example.
///     pub struct ExampleConf {
///         /// The key that holds the line.
///         key: String => "Key" = "log",
///         /// Where to read.
///         path: String => "Path" required,
///         /// A file that remembers offsets.
///         db: Option<String> => "DB",
///         /// Added to each record; may be repeated.
///         add: Many<String> => "Add",
///     }
///     unserved ["Threaded=off", "Encoding"]
/// }
/// let mut diags = collector::error::Diags::new();
/// let conf = ExampleConf::load(&Section::of("INPUT", &[("path", "/x")]), &mut diags);
/// assert_eq!(conf.map(|c| (c.key, c.path)), Some(("log".to_owned(), "/x".to_owned())));
/// ```
///
/// A field is `T` (with `= "default"` or `required`), `Option<T>` or `Many<T>`, where `T` implements
/// [`FromConf`]. The macro makes the struct, `KEYS`, `UNSERVED`, `TABLE` and
/// `load(&Section, &mut Diags) -> Option<Self>`, which reports everything that is wrong before it gives up.
#[macro_export]
macro_rules! config {
    (
        $(#[$meta:meta])*
        $vis:vis struct $name:ident {
            $(
                $(#[doc = $doc:literal])*
                $field:ident : $ty:ty => $key:literal $(= $default:literal)? $($required:ident)?
            ),* $(,)?
        }
        $(unserved [ $($unserved:literal),* $(,)? ])?
    ) => {
        $(#[$meta])*
        #[derive(Debug)]
        $vis struct $name {
            $( $(#[doc = $doc])* pub $field: $ty, )*
        }

        impl $name {
            /// The keys that are served.
            pub const KEYS: &'static [$crate::conf::KeyDef] = &[
                $( $crate::conf::KeyDef {
                    name: $key,
                    kind: <$ty as $crate::conf::Field>::KIND,
                    default: $crate::config!(@default $($default)?),
                    many: <$ty as $crate::conf::Field>::MANY,
                    required: false $(|| $crate::config!(@required $required))?,
                    doc: concat!($($doc),*),
                } ),*
            ];
            /// Keys that are known but not served yet.
            pub const UNSERVED: &'static [&'static str] = &[ $($($unserved),*)? ];
            /// Both of them.
            pub const TABLE: $crate::conf::Table =
                $crate::conf::Table { keys: Self::KEYS, unserved: Self::UNSERVED };

            /// Reads the values; everything that is wrong is reported, then `None` comes back.
            pub fn load(section: &$crate::conf::Section, diags: &mut $crate::error::Diags) -> Option<Self> {
                const { $crate::conf::schema::assert_complete(&[
                    $( ($crate::config!(@default $($default)?).is_some()
                        $(|| $crate::config!(@required $required))?,
                        <$ty as $crate::conf::Field>::SINGLE) ),*
                ]) };
                let mut keys = Self::KEYS.iter();
                $( let $field = keys.next().and_then(|k| <$ty as $crate::conf::Field>::load(section, k, diags)); )*
                Some(Self { $( $field: $field?, )* })
            }
        }
    };
    (@default) => { None::<&'static str> };
    (@default $default:literal) => { Some($default) };
    (@required required) => { true };
}

/// Refuses, at compile time, a plain field that has neither a default nor `required`.
pub const fn assert_complete(fields: &[(bool, bool)]) {
    let mut i = 0;
    while i < fields.len() {
        let (has_value, single) = fields[i];
        assert!(has_value || !single, "a plain field needs `= \"default\"` or `required`");
        i += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conf::value::{CList, Size};

    crate::config! {
        /// For the tests.
        pub struct T {
            /// First line
            /// and second.
            size: Size => "Size" = "1K",
            path: CList => "Path" required,
            db: Option<bool> => "DB",
            add: Many<String> => "Add",
            parsers: Many<u32> => "Parser_*",
            http_passwd: Option<String> => "HTTP_Passwd",
        }
        unserved ["Threaded=off"]
    }

    fn load(pairs: &[(&str, &str)]) -> (Option<T>, String) {
        let mut d = Diags::new();
        let mut s = Section::of("INPUT", pairs);
        s.label = "input:t:t.0".into();
        let conf = T::load(&s, &mut d);
        (conf, d.to_string())
    }

    #[test]
    fn the_table_says_what_was_declared() {
        let key = |name| T::KEYS.iter().find(|k| k.name == name).copied().unwrap();
        let size = key("Size");
        assert_eq!((size.kind, size.default, size.many, size.required), ("size", Some("1K"), false, false));
        assert_eq!(size.doc, " First line and second.");
        assert!(key("Path").required && key("Add").many && !key("DB").many);
        assert_eq!(T::TABLE.unserved, ["Threaded=off"]);
    }

    #[test]
    fn values_and_defaults() {
        let (conf, said) = load(&[("PATH", "a, b"), ("parser_1", "7"), ("add", "x"), ("Parser_2", "8"), ("add", "y")]);
        let conf = conf.unwrap();
        assert_eq!(said, "");
        assert_eq!((conf.size.0, conf.db), (1000, None));
        assert_eq!(conf.path.0, ["a", "b"]);
        let items: Vec<_> = conf.parsers.0.iter().map(|i| (i.ordinal, i.key.as_str(), i.value)).collect();
        assert_eq!(items, [(1, "parser_1", 7), (3, "Parser_2", 8)]);
        assert_eq!(conf.add.0.iter().map(|i| (i.ordinal, i.value.as_str())).collect::<Vec<_>>(), [(2, "x"), (4, "y")]);
    }

    #[test]
    fn everything_wrong_is_said_at_once() {
        let (conf, said) = load(&[("size", "1Z"), ("db", "perhaps"), ("parser_1", "x"), ("parser_2", "y")]);
        assert!(conf.is_none());
        for part in ["the property 'Path' is required", "size: ", "db: 'perhaps'", "parser_1: ", "parser_2: "] {
            assert!(said.contains(part), "{part} not in {said}");
        }
        assert!(said.contains("command line: [input:t:t.0] db: 'perhaps' is not a boolean"), "{said}");
        assert!(said.contains("Write for example: db on"), "{said}");
    }

    #[test]
    fn a_repeated_key_is_warned_about_and_secrets_are_hidden() {
        let (conf, said) = load(&[("path", "a"), ("path", "b"), ("http_passwd", "x1"), ("http_passwd", "x2")]);
        let conf = conf.unwrap();
        assert_eq!(conf.path.0, ["b"]);
        assert_eq!(conf.http_passwd.as_deref(), Some("x2"));
        assert!(said.contains("property 'path' is already specified with value 'a'. Overwriting with 'b'"), "{said}");
        assert!(!said.contains("x1") && !said.contains("x2"), "{said}");
    }
}

//! The parsers that inputs and filters may ask for by name: the user's, and those that are built in.

use super::def::ParserDef;
use super::multiline::{self, MultilineDef};
use crate::conf::{Section, ini};
use crate::error::{Diags, Place};
use crate::util::sort;
use crate::util::suggest::nearest;
use std::cell::OnceCell;
use std::fmt;

/// The built-in parsers as the file that users read; a parser is compiled when it is first asked for.
pub const STOCK: &str = include_str!("../../parsers.conf");

/// All parsers of a configuration. A user's parser takes the place of a built-in one of the same name.
#[derive(Debug, Clone, Default)]
pub struct ParserSet {
    own: Vec<Slot>,
    stock: OnceCell<Vec<Slot>>,
    /// Those of several lines.
    own_multi: Vec<Slot<MultilineDef>>,
    stock_multi: OnceCell<Vec<Slot<MultilineDef>>>,
}

#[derive(Debug, Clone)]
struct Slot<T = ParserDef> {
    name: String,
    section: Section,
    /// `None` inside when the section has errors.
    def: OnceCell<Option<T>>,
}

impl<T: Clone> Slot<T> {
    fn new(section: Section) -> Self {
        Self { name: section.value("name").unwrap_or_default().to_owned(), section, def: OnceCell::new() }
    }

    fn def(&self, make: impl FnOnce(&Section, &mut Diags) -> Option<T>) -> Option<T> {
        // What is to be said about a user's section was said when it was loaded.
        self.def.get_or_init(|| make(&self.section, &mut Diags::new())).clone()
    }
}

/// Why there is no parser of a name: the message, and what to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NoParser {
    /// What is wrong.
    pub message: String,
    /// What to do about it.
    pub help: String,
}

impl fmt::Display for NoParser {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}. {}", self.message, self.help)
    }
}

impl std::error::Error for NoParser {}

impl ParserSet {
    /// The `[PARSER]` and `[MULTILINE_PARSER]` sections of a configuration, variables expanded, on top of the built-in ones.
    /// Everything that is wrong with any of them is reported, used or not.
    pub fn new(sections: Vec<Section>, diags: &mut Diags) -> Self {
        let mut set = Self::default();
        let (multi, single): (Vec<_>, Vec<_>) = sections.into_iter().partition(|s| s.is("multiline_parser"));
        for section in single {
            // Compiled to be checked, then forgotten: a file of many parsers of which two are used costs two.
            let _ = ParserDef::new(&section, diags);
            add(&mut set.own, "parser", section, diags);
        }
        for section in multi {
            let _ = MultilineDef::new(&section, &set, diags);
            add(&mut set.own_multi, "multiline_parser", section, diags);
        }
        set
    }

    /// The parser of this name (which is case-sensitive), compiled now if it was not yet.
    ///
    /// # Errors
    /// When there is none, with the nearest names, or when its section has errors.
    pub fn get(&self, name: &str) -> Result<ParserDef, NoParser> {
        match self.all().find(|slot| slot.name == name) {
            Some(slot) => slot.def(ParserDef::new).ok_or_else(|| NoParser {
                message: format!("parser '{name}' cannot be used"),
                help: format!("Correct its section at {}", slot.section.place),
            }),
            None => Err(self.unknown(name)),
        }
    }

    /// [`ParserSet::get`] for a plugin's key: a failure is reported at `place`, `who` in front.
    pub fn require(&self, name: &str, who: &str, place: &Place, diags: &mut Diags) -> Option<ParserDef> {
        match self.get(name) {
            Ok(def) => Some(def),
            Err(e) => {
                diags.error_help(place, format!("{who} {}", e.message), e.help);
                None
            }
        }
    }

    /// The multiline parser called `name`, for a plugin's key: a failure is reported at `place`, `who` in front.
    pub fn require_multiline(&self, name: &str, who: &str, place: &Place, diags: &mut Diags) -> Option<MultilineDef> {
        let stock = self.stock_multi.get_or_init(|| of_text(multiline::STOCK, "multiline_parser"));
        let mut all = self.own_multi.iter().chain(stock);
        let Some(slot) = all.clone().find(|slot| slot.name == name) else {
            let help = match nearest(name, all.clone().map(|s| s.name.as_str())) {
                Some(near) => format!("Did you mean '{near}'?"),
                None => {
                    let known: Vec<_> = all.by_ref().map(|s| s.name.as_str()).collect();
                    let known = known.join(", ");
                    format!("Define it in a file named in [SERVICE] Parsers_File, or use one of: {known}")
                }
            };
            diags.error_help(place, format!("{who} multiline parser '{name}' is not registered"), help);
            return None;
        };
        let def = slot.def(|section, diags| MultilineDef::new(section, self, diags));
        if def.is_none() {
            let help = format!("Correct its section at {}", slot.section.place);
            diags.error_help(place, format!("{who} multiline parser '{name}' cannot be used"), help);
        }
        def
    }

    /// The names of all multiline parsers, the user's first.
    pub fn multiline_names(&self) -> impl Iterator<Item = &str> {
        let stock = self.stock_multi.get_or_init(|| of_text(multiline::STOCK, "multiline_parser"));
        self.own_multi.iter().chain(stock).map(|slot| slot.name.as_str())
    }

    /// The names of all parsers, the user's first.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.all().map(|slot| slot.name.as_str()).filter(|name| !name.starts_with(HIDDEN))
    }

    fn all(&self) -> impl Iterator<Item = &Slot> {
        let stock = self.stock.get_or_init(|| {
            let mut all: Vec<Slot> = of_text(STOCK, "parser");
            all.extend(of_text(multiline::STOCK, "parser"));
            all
        });
        self.own.iter().chain(stock)
    }

    fn unknown(&self, name: &str) -> NoParser {
        let message = format!("parser '{name}' is not registered");
        let help = match nearest(name, self.names()) {
            Some(near) => format!("Did you mean '{near}'?"),
            None => {
                let mut names: Vec<_> = self.names().collect();
                sort::ascending(&mut names);
                names.dedup();
                let known = names.join(", ");
                format!("Define it in a file named in [SERVICE] Parsers_File, or use one of: {known}")
            }
        };
        NoParser { message, help }
    }
}

/// Parsers that built-in multiline parsers use are not for users.
const HIDDEN: &str = "_ml_";

/// The sections of one kind of a built-in file.
fn of_text<T: Clone>(text: &str, kind: &str) -> Vec<Slot<T>> {
    let doc = ini::parse("(built in)", text.as_bytes(), &mut Diags::new());
    doc.sections.into_iter().filter(|s| s.is(kind)).map(Slot::new).collect()
}

/// Adds a user's section; its name must be new.
fn add<T: Clone>(to: &mut Vec<Slot<T>>, kind: &str, section: Section, diags: &mut Diags) {
    let slot = Slot::new(section);
    match to.iter().find(|s| s.name == slot.name && !slot.name.is_empty()) {
        Some(first) => diags.error_help(
            &slot.section.place,
            format!("[{kind}] parser named '{}' already exists", slot.name),
            format!("The first one is at {}; rename or remove one of them", first.section.place),
        ),
        None => to.push(slot),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::Time;

    fn set(text: &str) -> (ParserSet, String) {
        let mut diags = Diags::new();
        let doc = ini::parse("p.conf", text.as_bytes(), &mut diags);
        let set = ParserSet::new(doc.sections, &mut diags);
        (set, diags.to_string())
    }

    #[test]
    fn built_in_parsers_are_there_and_own_ones_win() {
        let none = ParserSet::default();
        assert!(none.get("nginx").unwrap().parse_line(b"x", Time(0)).is_none());
        let (set, said) = set("[PARSER]\n    Name nginx\n    Format regex\n    Regex ^(?<x>.*)$\n");
        assert_eq!(said, "");
        assert!(set.get("nginx").unwrap().parse_line(b"x", Time(0)).is_some());
        assert!(set.get("apache").is_ok());
    }

    #[test]
    fn a_parser_is_compiled_once() {
        let set = ParserSet::default();
        let _ = set.get("cri").unwrap();
        let compiled = set.all().filter(|s| s.def.get().is_some()).count();
        assert_eq!(compiled, 1);
    }

    #[test]
    fn unknown_names_come_with_near_ones() {
        let (set, _) = set("[PARSER]\n    Name my_app\n    Format json\n");
        assert_eq!(set.get("my_ap").unwrap_err().help, "Did you mean 'my_app'?");
        assert_eq!(set.get("Docker").unwrap_err().help, "Did you mean 'docker'?");
        let far = set.get("zzzzzzzz").unwrap_err();
        assert_eq!(far.message, "parser 'zzzzzzzz' is not registered");
        assert!(far.help.contains("apache2, apache_error, cri") && far.help.contains("my_app"), "{far}");
    }

    #[test]
    fn everything_wrong_is_said_with_its_place() {
        let table = [
            ("Name a\n    Format jsn", "p.conf:3:12: [parser] Format: 'jsn' is not one of: regex json ltsv logfmt"),
            ("Name a", "the property 'Format' is required"),
            ("Format json", "the property 'Name' is required"),
            ("Name a\n    Format regex", "p.conf:3:12: [parser] Format regex needs a Regex"),
            (
                "Name a\n    Format json\n    Time_Ky t",
                "unknown configuration property 'Time_Ky'. Did you mean 'Time_Key'?",
            ),
            ("Name a\n    Format json\n    Types a:int", "'int' of 'a:int' is no type"),
            ("Name a\n    Format json\n    Time_Format %Q", "p.conf:4:17: [parser] Time_Format: "),
            (
                "Name a\n    Format json\n    Time_Format %Y\n    Time_Offset x",
                "p.conf:5:17: [parser] 'x' is not a Time_Offset",
            ),
            ("Name a\n    Format json\n    Time_Zone UTC", "Time_Zone needs a Time_Format"),
            (
                "Name a\n    Format json\n    Time_Format %Y\n    Time_Zone UTC\n    Time_Offset Z",
                "p.conf:5:15: [parser] Time_Zone cannot be used together with Time_Offset",
            ),
            ("Name a\n    Format json\n    Decode_Field js log", "'js' is no decoder"),
            ("Name a\n    Format json\n    Decode_Field escaped log", "warning: [parser] Decode_Field has no effect"),
            (
                "Name a\n    Format json\n    Types a:integer",
                "warning: [parser] Types has no effect without Format regex",
            ),
            (
                "Name a\n    Format json\n    Time_Keep on",
                "warning: [parser] Time_Keep has no effect without Time_Format",
            ),
            ("Name a\n    Format regex\n    Regex (a)", "warning: [parser] the Regex has no named group"),
        ];
        for (keys, expected) in table {
            let (_, said) = set(&format!("[PARSER]\n    {keys}\n"));
            assert!(said.contains(expected), "{keys}:\n{said}\nlacks {expected}");
        }
    }

    #[test]
    fn keys_that_say_what_holds_anyway_are_passed_over() {
        let keys = "Time_Key time\n    Time_Keep Off\n    Skip_Empty_Values On\n    Logfmt_No_Bare_Keys off";
        assert_eq!(set(&format!("[PARSER]\n    Name a\n    Format json\n    {keys}\n")).1, "");
    }

    #[test]
    fn a_bad_pattern_is_shown_at_its_place() {
        let (set, said) = set("[PARSER]\n    Name a\n    Format regex\n    Regex ^(?<x>[a-z]+ (?<y>.*$\n");
        assert!(said.starts_with("p.conf:4:"), "{said}");
        let shown = said.lines().rev().take(2).collect::<Vec<_>>();
        assert!(shown[0].trim_end().ends_with('^') && shown[1].contains("(?<y>"), "{said}");
        let refused = set.get("a").unwrap_err().to_string();
        assert_eq!(refused, "parser 'a' cannot be used. Correct its section at p.conf:1:1");
    }

    #[test]
    fn a_name_used_twice_is_an_error_with_both_places() {
        let one = "[PARSER]\n    Name a\n    Format json\n";
        let (_, said) = set(&format!("{one}{one}"));
        assert!(said.contains("p.conf:4:1: [parser] parser named 'a' already exists"), "{said}");
        assert!(said.contains("The first one is at p.conf:1:1"), "{said}");
    }
}

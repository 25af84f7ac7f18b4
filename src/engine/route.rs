//! Routing: which filters and outputs a tag goes through.

use crate::event::Tag;
use crate::parse::regex::Regex;
use crate::util::wildcard::Wildcard;
use rustc_hash::FxHashMap;
use std::cell::RefCell;
use std::fmt;
use std::rc::Rc;

/// Tags whose routes are kept; beyond it the table starts anew, so that data-made tags cannot grow it.
const CACHE: usize = 4096;

/// `Match` and `Match_Regex` of one instance.
#[derive(Default)]
pub struct Rule {
    /// `*` stands for any run of characters.
    pub pattern: Option<Wildcard>,
    /// Tried first; anchored at the start of the tag only, and must match at least one character.
    pub regex: Option<Regex>,
}

impl Rule {
    /// A rule that matches every tag.
    pub fn any() -> Self {
        Self { pattern: Some(Wildcard::new("*")), regex: None }
    }

    /// Whether nothing can match.
    pub fn is_empty(&self) -> bool {
        self.pattern.is_none() && self.regex.is_none()
    }

    /// Whether the tag matches.
    pub fn is_match(&self, tag: &str) -> bool {
        let by_regex = self.regex.as_ref().and_then(|r| r.match_at_start(tag.as_bytes())).is_some_and(|len| len > 0);
        by_regex || self.pattern.as_ref().is_some_and(|p| p.is_match(tag.as_bytes()))
    }
}

impl fmt::Debug for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rule").field("pattern", &self.pattern.is_some()).field("regex", &self.regex.is_some()).finish()
    }
}

/// The way of one tag: indices of filters and outputs, in the order of the configuration.
#[derive(Debug, PartialEq, Eq)]
pub struct Route {
    /// Filters to pass.
    pub filters: Vec<usize>,
    /// Outputs to go to.
    pub outputs: Vec<usize>,
}

/// Every rule, with the routes found so far.
#[derive(Debug)]
pub struct Routes {
    filters: Vec<Rule>,
    outputs: Vec<Rule>,
    found: RefCell<FxHashMap<Tag, Rc<Route>>>,
}

impl Routes {
    /// The rules of the filters and outputs, in the order of the configuration.
    pub fn new(filters: Vec<Rule>, outputs: Vec<Rule>) -> Self {
        Self { filters, outputs, found: RefCell::default() }
    }

    /// The same tag as others have it: one copy for all.
    pub fn tag(&self, tag: Tag) -> Tag {
        self.found.borrow().get_key_value(&tag).map_or(tag, |(known, _)| known.clone())
    }

    /// The route of a tag.
    pub fn of(&self, tag: &Tag) -> Rc<Route> {
        let mut found = self.found.borrow_mut();
        if let Some(r) = found.get(tag) {
            return r.clone();
        }
        let hits = |rules: &[Rule]| rules.iter().enumerate().filter(|(_, r)| r.is_match(tag)).map(|(i, _)| i).collect();
        let route = Rc::new(Route { filters: hits(&self.filters), outputs: hits(&self.outputs) });
        if found.len() >= CACHE {
            found.clear();
        }
        found.insert(tag.clone(), route.clone());
        route
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(pattern: Option<&str>, regex: Option<&str>) -> Rule {
        Rule { pattern: pattern.map(Wildcard::new), regex: regex.map(|r| Regex::new(r).unwrap()) }
    }

    #[test]
    fn a_regex_is_anchored_at_the_start_only() {
        for (regex, tag, want) in
            [("ap", "app.log", true), ("log$", "app.log", false), ("^$", "", false), ("app", "xapp", false)]
        {
            assert_eq!(rule(None, Some(regex)).is_match(tag), want, "{regex} on {tag}");
        }
        assert!(rule(Some("x.*"), Some("nope")).is_match("x.y"), "Match is tried when the regex misses");
    }

    #[test]
    fn routes_keep_the_order_of_the_configuration() {
        let routes = Routes::new(
            vec![rule(Some("a.*"), None), rule(Some("*"), None)],
            vec![rule(None, None), Rule::any(), rule(Some("a.b"), None)],
        );
        assert_eq!(*routes.of(&Tag::new("a.b")), Route { filters: vec![0, 1], outputs: vec![1, 2] });
        assert_eq!(*routes.of(&Tag::new("c")), Route { filters: vec![1], outputs: vec![1] });
    }
}

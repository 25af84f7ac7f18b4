//! What annotations ask of us: `fluentbit.io/parser[_STREAM][-CONTAINER]`, `fluentbit.io/exclude[_STREAM][-CONTAINER]`.

use super::pod::Pod;
use crate::parse::{Parser, ParserSet};
use std::collections::HashSet;

/// The streams of a container, as places in [`Rules`].
const STREAMS: [&str; 2] = ["stdout", "stderr"];
/// Complaints that are remembered, so that each is made once.
const SAID: usize = 4096;

/// What holds for the records of one container: for standard output, and for standard error.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Rules {
    exclude: [bool; 2],
    parser: [Option<u16>; 2],
}

impl Rules {
    /// Whether the stream of a record does not matter.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Whether records of this stream are dropped; of one that is not known when both are.
    pub fn excludes(&self, stream: Option<&[u8]>) -> bool {
        match place(stream) {
            Some(n) => self.exclude.get(n) == Some(&true),
            None => self.exclude == [true; 2],
        }
    }

    /// The parser for this stream; for one that is not known when both have the same.
    pub fn parser(&self, stream: Option<&[u8]>) -> Option<usize> {
        let n = match place(stream) {
            Some(n) => *self.parser.get(n)?,
            None if self.parser[0] == self.parser[1] => self.parser[0],
            None => None,
        };
        n.map(usize::from)
    }
}

fn place(stream: Option<&[u8]>) -> Option<usize> {
    STREAMS.iter().position(|s| stream == Some(s.as_bytes()))
}

/// Reads annotations, and keeps the parsers that they ask for.
pub struct Advice {
    label: String,
    /// `K8S-Logging.Parser on`: every parser that there is.
    set: Option<ParserSet>,
    /// `K8S-Logging.Exclude`
    exclude: bool,
    parsers: Vec<(String, Box<dyn Parser>)>,
    said: HashSet<String>,
}

impl Advice {
    /// `set` with `K8S-Logging.Parser on`.
    pub fn new(label: String, set: Option<ParserSet>, exclude: bool) -> Self {
        Self { label, set, exclude, parsers: Vec::new(), said: HashSet::new() }
    }

    /// A parser that [`Rules::parser`] names.
    pub fn parser(&mut self, n: usize) -> Option<&mut (dyn Parser + 'static)> {
        self.parsers.get_mut(n).map(|(_, p)| &mut **p)
    }

    /// What the annotations of a pod mean for one of its containers. What names the container wins over what does not, else the
    /// first one counts. `name` is the pod's, for what there is to say.
    pub fn rules(&mut self, pod: &Pod, container: &str, name: &str) -> Rules {
        let mut rules = Rules::default();
        // Per stream: decided at all.
        let (mut excluded, mut parsed) = ([false; 2], [false; 2]);
        for (what, value) in pod.hints() {
            let Some(hint) = Hint::read(what) else {
                self.say(name, &format!("annotation 'fluentbit.io/{what}' is not known"), true);
                continue;
            };
            if hint.container.is_some_and(|c| c != container) {
                continue;
            }
            let (allowed, key) = match hint.is_parser {
                true => (self.set.is_some(), "K8S-Logging.Parser"),
                false => (self.exclude, "K8S-Logging.Exclude"),
            };
            if !allowed {
                self.say(name, &format!("annotation 'fluentbit.io/{what}' needs {key} on"), false);
                continue;
            }
            let parser = if hint.is_parser { self.number(value, name) } else { None };
            if hint.is_parser && parser.is_none() {
                continue;
            }
            for n in (0..2).filter(|n| hint.stream.is_none_or(|s| s == *n)) {
                let decided = if hint.is_parser { parsed.get_mut(n) } else { excluded.get_mut(n) };
                let Some(decided) = decided else { continue };
                if *decided && hint.container.is_none() {
                    continue;
                }
                *decided = true;
                match (rules.parser.get_mut(n), rules.exclude.get_mut(n)) {
                    (Some(slot), _) if hint.is_parser => *slot = parser,
                    (_, Some(slot)) => *slot = ["true", "on", "yes"].iter().any(|t| value.eq_ignore_ascii_case(t)),
                    _ => {}
                }
            }
        }
        rules
    }

    /// The number of a parser, made when it is first asked for.
    fn number(&mut self, parser: &str, pod: &str) -> Option<u16> {
        if let Some(n) = self.parsers.iter().position(|(name, _)| name == parser) {
            return u16::try_from(n).ok();
        }
        match self.set.as_ref()?.get(parser) {
            Ok(def) => {
                self.parsers.push((parser.to_owned(), def.make()));
                u16::try_from(self.parsers.len() - 1).ok()
            }
            Err(why) => {
                self.say(pod, &format!("its annotation asks for a parser that is not there: {why}"), true);
                None
            }
        }
    }

    /// Says something of a pod, once.
    fn say(&mut self, pod: &str, what: &str, warn: bool) {
        if self.said.len() >= SAID {
            self.said.clear();
        }
        let line = format!("[{}] pod {pod}: {what}", self.label);
        if self.said.contains(&line) {
            return;
        }
        if warn {
            log::warn!("{line}")
        } else {
            log::info!("{line}")
        }
        self.said.insert(line);
    }
}

/// An annotation's name, taken apart.
struct Hint<'a> {
    is_parser: bool,
    stream: Option<usize>,
    container: Option<&'a str>,
}

impl<'a> Hint<'a> {
    fn read(name: &'a str) -> Option<Self> {
        let (is_parser, rest) = match (name.strip_prefix("parser"), name.strip_prefix("exclude")) {
            (Some(rest), _) => (true, rest),
            (_, rest) => (false, rest?),
        };
        let (stream, rest) = match rest.strip_prefix('_') {
            None => (None, rest),
            Some(rest) => STREAMS.iter().enumerate().find_map(|(n, s)| Some((Some(n), rest.strip_prefix(s)?)))?,
        };
        let container = match rest.strip_prefix('-') {
            Some("") => return None,
            Some(container) => Some(container),
            None if rest.is_empty() => None,
            None => return None,
        };
        Some(Self { is_parser, stream, container })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::filter::kubernetes::pod::Shape;
    use crate::filter::kubernetes::tidy::Tidy;

    fn rules(annotations: &str, container: &str) -> (Rules, Advice) {
        let json = format!(r#"{{"metadata":{{"name":"p","namespace":"s","annotations":{annotations}}}}}"#);
        let (_, pod) = Pod::read(json.as_bytes(), Shape::default(), &mut Tidy::default()).unwrap();
        let mut advice = Advice::new("f".into(), Some(ParserSet::default()), true);
        (advice.rules(&pod, container, "s/p"), advice)
    }

    /// Whether stdout, stderr and a record without a stream are excluded.
    fn excluded(annotations: &str, container: &str) -> [bool; 3] {
        let (rules, _) = rules(annotations, container);
        [Some(&b"stdout"[..]), Some(b"stderr"), None].map(|s| rules.excludes(s))
    }

    #[test]
    fn exclude() {
        assert_eq!(excluded("{}", "c"), [false; 3]);
        assert_eq!(excluded(r#"{"fluentbit.io/exclude":"true"}"#, "c"), [true; 3]);
        assert_eq!(excluded(r#"{"fluentbit.io/exclude":"True"}"#, "c"), [true; 3]);
        assert_eq!(excluded(r#"{"fluentbit.io/exclude_stderr":"on"}"#, "c"), [false, true, false]);
        let mixed = r#"{"fluentbit.io/exclude_stdout":"true","fluentbit.io/exclude_stderr-c-1":"true","fluentbit.io/exclude_stdout-c-3":
            "false","fluentbit.io/exclude_stderr-c-3":"true","fluentbit.io/exclude_stdout-c-4":"false"}"#;
        assert_eq!(excluded(mixed, "c-1"), [true; 3]);
        assert_eq!(excluded(mixed, "c-2"), [true, false, false]);
        assert_eq!(excluded(mixed, "c-3"), [false, true, false]);
        assert_eq!(excluded(mixed, "c-4"), [false; 3]);
        let order = r#"{"fluentbit.io/exclude-c":"false","fluentbit.io/exclude":"true"}"#;
        assert_eq!((excluded(order, "c"), excluded(order, "d")), ([false; 3], [true; 3]), "the container's own wins");
        for bad in ["exclude_std", "exclude-", "exclude_stdout_x", "excluded", "x"] {
            assert_eq!(excluded(&format!(r#"{{"fluentbit.io/{bad}":"true"}}"#), "c"), [false; 3], "{bad}");
        }
    }

    #[test]
    fn parsers() {
        let text =
            r#"{"fluentbit.io/parser_stderr":"json","fluentbit.io/parser":"nginx","fluentbit.io/parser-d":"nope"}"#;
        let (rules, mut advice) = rules(text, "c");
        let names = |s: Option<&[u8]>| rules.parser(s).map(|n| advice.parsers[n].0.clone());
        assert_eq!(
            [names(Some(b"stdout")), names(Some(b"stderr")), names(None)].map(Option::unwrap_or_default),
            ["nginx", "json", ""]
        );
        assert!(advice.parser(0).is_some() && advice.parser(7).is_none() && !rules.is_empty());
        assert!(advice.said.is_empty());
    }

    #[test]
    fn what_cannot_be_done_is_said_once() {
        let (rules, mut advice) = rules(r#"{"fluentbit.io/parser":"ngin"}"#, "c");
        assert!(rules.is_empty());
        let said: Vec<_> = advice.said.iter().cloned().collect();
        assert!(
            said.len() == 1 && said[0].contains("pod s/p") && said[0].contains("Did you mean 'nginx'?"),
            "{said:?}"
        );
        (advice.set, advice.exclude) = (None, false);
        let json = br#"{"metadata":{"annotations":{"fluentbit.io/exclude":"true"}}}"#;
        let (_, pod) = Pod::read(json, Shape::default(), &mut Tidy::default()).unwrap();
        assert!(advice.rules(&pod, "c", "s/q").is_empty() && advice.rules(&pod, "c", "s/q").is_empty());
        assert_eq!(advice.said.len(), 2);
    }
}

//! Lowered patterns against `regex`: whatever the pattern and the text, the same captures.

use proptest::prelude::*;
use regex_syntax::ParserBuilder;

use super::*;

/// Numbers the groups of a pattern as lowering expects them: every `(` that captures becomes `(?P<g1>`….
fn shadow(pattern: &str) -> String {
    let (mut out, mut group, mut in_class, mut escaped) = (String::new(), 0, false, false);
    for (at, c) in pattern.char_indices() {
        out.push(c);
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '[' => in_class = true,
            ']' => in_class = false,
            '(' if !in_class && !pattern[at..].starts_with("(?") => {
                group += 1;
                out.push_str(&format!("?P<g{group}>"));
            }
            _ => {}
        }
    }
    out
}

/// A lowered pattern as it is and fit for careful searches, and the number of its groups.
struct Lowered {
    program: Program,
    careful: Program,
    groups: usize,
}

fn lowered(pattern: &str) -> Option<Lowered> {
    let hir = ParserBuilder::new().utf8(false).multi_line(true).build().parse(&shadow(pattern)).unwrap();
    let groups = hir.properties().explicit_captures_len() + 1;
    let program = Program::new(&hir, &[], groups)?;
    let careful = Program::build(&hir, &[], groups, true)?;
    Some(Lowered { program, careful, groups })
}

fn spans(found: Found, slots: &[Span]) -> Option<Vec<Option<(usize, usize)>>> {
    let span = |&(start, end): &Span| (start != UNSET && end != UNSET).then_some((start as usize, end as usize));
    matches!(found, Found::Hit(..)).then(|| slots.iter().map(span).collect())
}

/// Compares the two on one text; says whether the lowered pattern had an answer.
#[track_caller]
fn agree(pattern: &str, lowered: &Lowered, regex: &regex::bytes::Regex, text: &str) -> bool {
    let Lowered { program, careful, groups } = lowered;
    let groups = *groups;
    let mut slots = vec![(7, 7); groups];
    let found = program.search(text.as_bytes(), &mut slots);
    if found == Found::GaveUp {
        return false;
    }
    let expected = regex
        .captures(text.as_bytes())
        .map(|c| (0..groups).map(|g| c.get(g).map(|m| (m.start(), m.end()))).collect::<Vec<_>>());
    assert_eq!(spans(found, &slots), expected, "{pattern} on {text:?}\n{:#?}", program.code.insts);
    // A careful search says the same, and so does one without captures.
    let mut again = slots.clone();
    let with_care = careful.search_carefully(text.as_bytes(), &mut again);
    assert_eq!(with_care, found, "{pattern} on {text:?}, with care");
    assert!(expected.is_none() || again == slots, "{pattern} on {text:?}, with care");
    assert_eq!(matches!(program.search(text.as_bytes(), &mut []), Found::Hit(..)), expected.is_some());
    true
}

fn oracle(pattern: &str) -> regex::bytes::Regex {
    regex::bytes::RegexBuilder::new(pattern).multi_line(true).build().unwrap()
}

#[track_caller]
fn check(pattern: &str, texts: &[&str]) {
    let lowered = lowered(pattern).unwrap_or_else(|| panic!("{pattern} is not lowered"));
    let regex = oracle(pattern);
    for text in texts {
        assert!(agree(pattern, &lowered, &regex, text), "{pattern} gave up on {text:?}");
    }
}

#[test]
fn runs_give_back_what_the_rest_needs() {
    check("(a*)(a)", &["", "a", "aa", "baab"]);
    check("(.*)(.)", &["", "a", "é", "aé", "éa\n"]);
    check("(.*)b", &["ab", "abcb", "é b", "c"]);
    check("(.+?)b(.*?)$", &["ab", "bb", "éb", "b", "éébcb\n"]);
    check("([^ ]*?)([ b]?)c", &["abc", "ab c", "c", "bbbc"]);
    check("([a-c]{2,4})([a-c])", &["ab", "abc", "abcabc"]);
    check("(.{2,3})(é?)", &["aé", "ééé", "a", "aééé"]);
    check("([äöü]+)(ü)", &["üü", "aäöüü", "ü"]);
    check("([[:^alpha:]]{3})x", &["123x", "é23x", "12x"]);
    check("(?i)(straße|k+) ", &["STRASSE k \u{212a} ", "Straße "]);
}

#[test]
fn ways_are_tried_in_order() {
    check("(a|ab)(c|bcd)(d*)", &["abcd", "acd", "xabcdd"]);
    check("(?:ab.*c|ab.*d|e)(.*)", &["abxdxcx", "abd", "ab", "e"]);
    check("(Jan|Jun|June|Jul|Dec|éa|èa|é)( |)", &["June 1", "Jul", "Jxn", "éa", "èb èa", "é"]);
    check("(std(?:out|err)) ([FP])", &["stdout F", "x stderr P", "stdin F"]);
    check("(?:(a)|(b))?(c)?", &["", "a", "bc", "c", "ac"]);
    check("((?:ab|a)+)b", &["aab", "abab", "b"]);
    check("(?:x(y)?z|x(y))w", &["xyw", "xzw", "xyzw", "xy"]);
    check("(?:x*?(y)){1}", &["xxy"]);
    check("(?:(a)|b)*", &["ab", "ba", "aab", ""]);
    check("(?:([a-z]+)=([0-9]*) ?)+(!)", &["a=1 b=2!", "a=1 b=!", "a=1 b= c", "x"]);
    check("(?:(a)(b)?c|a(bc|b))+(d)", &["abcacabd", "abcabcd", "acabd"]);
    check("(?:a?)*(?:a+)+b", &["aab", "b", "aaa"]);
    check("(x?)(?:ab){2,3}?(ab)?", &["xababab", "abab"]);
    check("([a-z]+)(?:=([0-9]+))??;", &["a=1;", "a;", "a=;"]);
}

#[test]
fn places_are_asserted() {
    check("^(a+)$", &["a\nb", "b\naa\n", "ab", "b\nba"]);
    check(r"\A(a|b)\z", &["a", "ab", "b\n"]);
    check(r"\b(\w+)\b", &["é1 x", " été ", "--"]);
    check(r"(?-u:\b)([0-9A-Za-z_]+)(?-u:\b)", &["é1 x", " été "]);
    check(r"(a\B.)", &["a bac", "aé"]);
    check(r"([^x]*)$", &["axb", "x", "x\ny"]);
}

#[test]
fn what_cannot_be_lowered() {
    for pattern in ["(?:a*b*)*", "(?:a|b*)+", r"(?-u:\xff)*(?-u:[\x80-\xff])", "(?:ab){300}"] {
        assert!(lowered(pattern).is_none(), "{pattern}");
    }
}

#[test]
fn budget_and_stack_are_bounded() {
    let text = "a".repeat(1 << 16);
    for pattern in ["^(a+)+$", "^(?:a+)+b", "(?:a|a)*b", "(?:a|ab)*c", ".*.*.*.*x", "(?:.*?,){12}P"] {
        if let Some(Lowered { program, groups, .. }) = lowered(pattern) {
            let begin = std::time::Instant::now();
            program.search(text.as_bytes(), &mut vec![(0, 0); groups]);
            program.search(text.replace("aa", "a,").as_bytes(), &mut vec![(0, 0); groups]);
            assert!(begin.elapsed().as_millis() < 4_000, "{pattern}: {:?}", begin.elapsed());
        }
    }
}

/// One thing that log patterns are made of.
fn atom() -> impl Strategy<Value = String> {
    let plain = prop::sample::select(vec![
        "a",
        "b",
        " ",
        "ab",
        "\\[",
        "\\]",
        "\"",
        "é",
        "-",
        ":",
        "0",
        "ü",
        ".",
        "[^ ]",
        "[^\\]]",
        "[^\"]",
        "[0-9]",
        "[a-z0-9]",
        "[ab]",
        "[^a]",
        "\\S",
        "\\s",
        "\\w",
        "[a-zé]",
        "[^é]",
        "(?i:ab)",
        "(?s:.)",
        "(?i:k)",
        "[^ \\]\"\\n-]",
    ]);
    let place = prop::sample::select(vec!["^", "$", "\\b", "\\B", "\\A", "\\z"]);
    let quantifier = prop::sample::select(vec![
        "", "", "*", "+", "?", "*?", "+?", "??", "{2}", "{1,2}", "{0,3}", "{2,}", "{1,3}?", "{2,}?",
    ]);
    prop_oneof![9 => (plain, quantifier).prop_map(|(a, q)| format!("(?:{a}){q}")), 1 => place.prop_map(str::to_owned)]
}

fn pattern() -> impl Strategy<Value = String> {
    atom().prop_recursive(4, 24, 5, |inner| {
        prop_oneof![
            5 => prop::collection::vec(inner.clone(), 1..6).prop_map(|parts| parts.concat()),
            3 => inner.clone().prop_map(|sub| format!("({sub})")),
            2 => inner.clone().prop_map(|sub| format!("(?:{sub})?")),
            1 => inner.clone().prop_map(|sub| format!("(?:{sub})*")),
            1 => inner.clone().prop_map(|sub| format!("(?:{sub})+?")),
            1 => inner.clone().prop_map(|sub| format!("(?:{sub}){{1,2}}")),
            2 => prop::collection::vec(inner, 2..4).prop_map(|ways| format!("(?:{})", ways.join("|"))),
        ]
    })
}

fn text() -> impl Strategy<Value = String> {
    let word = prop::sample::select(vec![
        "a", "b", "ab", " ", "  ", "[", "]", "\"", "é", "ü", "-", ":", "0", "42", "\n", "K", "\u{212a}", "aB",
        "a b ab ]", "€",
    ]);
    prop::collection::vec(word, 0..24).prop_map(|words| words.concat())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn same_as_regex(pattern in pattern(), texts in prop::collection::vec(text(), 12)) {
        if let Some(lowered) = lowered(&pattern) {
            let regex = oracle(&pattern);
            for text in &texts {
                agree(&pattern, &lowered, &regex, text);
            }
        }
    }
}

//! The dialect, and the patterns people use.

use proptest::prelude::*;

use super::*;

/// The groups of the first match, or `None` without one. A group that took no part is `None`.
fn groups(pattern: &str, text: &[u8]) -> Option<Vec<Option<String>>> {
    let regex = Regex::new(pattern).unwrap_or_else(|e| panic!("{pattern}: {e}"));
    let mut slots = Slots::default();
    regex.captures(text, &mut slots).then(|| {
        let span = |g| slots.get(g).map(|(start, end)| String::from_utf8_lossy(&text[start..end]).into_owned());
        (0..regex.group_count()).map(span).collect()
    })
}

fn whole(pattern: &str, text: &str) -> Option<String> {
    groups(pattern, text.as_bytes()).and_then(|g| g[0].clone())
}

#[track_caller]
fn check(pattern: &str, text: &str, expected: Option<&str>) {
    assert_eq!(whole(pattern, text).as_deref(), expected, "{pattern} on {text:?}");
}

#[track_caller]
fn fields(pattern: &str, text: &str, expected: &[(&str, &str)]) {
    let regex = Regex::new(pattern).unwrap_or_else(|e| panic!("{pattern}: {e}"));
    let mut slots = Slots::default();
    assert!(regex.captures(text.as_bytes(), &mut slots), "{pattern} misses {text}");
    let found: Vec<(&str, &str)> = (0..regex.names().len())
        .filter_map(|n| regex.named(&slots, n).map(|(s, e)| (regex.names()[n].as_str(), &text[s..e])))
        .collect();
    assert_eq!(found, expected);
}

#[test]
fn anchors() {
    check("^b$", "a\nb\nc", Some("b"));
    check(r"\Ab", "a\nb", None);
    check(r"a\z", "a\n", None);
    check(r"a\Z", "a\n", Some("a"));
    check(r"a\Z", "a\n\n", None);
    check(r"\Ga", "ba", None);
    check("a.c", "a\nc", None);
    check("/a.c/m", "a\nc", Some("a\nc"));
    check("(?m)a.c", "a\nc", Some("a\nc"));
    check("(?m:a.)c", "a\nc", Some("a\nc"));
    check("(?m-i:a(?-m).)c", "a\nc", None);
}

#[test]
fn literals() {
    check(r"\<a\>", "x<a>", Some("<a>"));
    check(r#"\_\-\"\:\ \/\%\@"#, "_-\": /%@", Some("_-\": /%@"));
    check("a{b}]c", "a{b}]c", Some("a{b}]c"));
    check("a{,2}", "aaa", Some("aa"));
    check("a{x", "a{x", Some("a{x"));
    check("{", "{", Some("{"));
    check(r"\x41\u0042\103\x{44}", "ABCD", Some("ABCD"));
    check(r"\xC3\xA9", "é", Some("é"));
    check(r"\e\t\cA\C-b\a\0", "\x1b\t\x01\x02\x07\0", Some("\x1b\t\x01\x02\x07\0"));
    check(r"\Q.\E", "QxE", Some("QxE"));
}

#[test]
fn classes() {
    check(r"\h+", "xyzBEEF9g", Some("BEEF9"));
    check(r"\H+", "ab-xyz", Some("-xyz"));
    check(r"[\h_]+", "zz_af", Some("_af"));
    check(r"[^\h]+", "affz!", Some("z!"));
    check(r"\d+", "٣4", Some("4"));
    check(r"(?u)\d+", "٣4", Some("٣4"));
    check(r"\w+", "é_a", Some("_a"));
    check(r"\W+", "aé b", Some("é "));
    check(r"[[:alpha:]]+", "1éa2", Some("éa"));
    check(r"(?a)[[:alpha:]]+", "1éa2", Some("a"));
    check(r"[[:^alpha:]]+", "aé12", Some("12"));
    check(r"[a-w&&[^c-g]z]+", "cdaxbz", Some("a"));
    check(r"\p{Alpha}+\p{^Alpha}\P{Alpha}", "ab12", Some("ab12"));
    check(r"\p{Greek}+\p{Lu}", "aλόΓ", Some("λόΓ"));
    check("[]a]+", "a]", Some("a]"));
    check("[^]a]+", "a]x", Some("x"));
    check(r"[a\-z]+", "-z", Some("-z"));
    check(r"[\w-]+", "a-b", Some("a-b"));
    check(r"[a-]+", "a-", Some("a-"));
    check(r"[+--]+", "+,-", Some("+,-"));
    check(r"[\]\[]+", "[]", Some("[]"));
    check(r"[\b]", "\x08", Some("\x08"));
    check(r"[^\n]+", "\nab", Some("ab"));
    check("[ #]+", "# ", Some("# "));
    check(r"\R", "a\r\n", Some("\r\n"));
}

#[test]
fn options() {
    check("/AB/i", "ab", Some("ab"));
    check("/ a b # c\n [ ] d/x", "ab d", Some("ab d"));
    check(r"/a\ b/x", "a b", Some("a b"));
    check("a(?i)b|c", "aC", Some("aC"));
    check("a(?i)b|c", "c", None);
    check("(?:a(?i)b)c", "aBC", None);
    check("(?i:a)b", "Ab", Some("Ab"));
    check("(?i)[a-c]+\\w", "ABCD", Some("ABCD"));
    check("a(?#comment)+", "aaa", Some("aaa"));
    check("/a/g", "/a/g", Some("/a/g"));
}

#[test]
fn quantifiers() {
    check("a++a", "aaa", None);
    check("a*+b", "aab", Some("aab"));
    check("a?+a", "a", None);
    check("(?>a+)ab", "aaab", None);
    check("a{2}?", "b", Some(""));
    check("a{2}?", "aaa", Some("aa"));
    check("a{1,2}?", "aaa", Some("a"));
    check("(?:ab){2}+", "ababab", Some("abab"));
}

#[test]
fn look_around_and_references() {
    check(r"(?<=a)b", "bab", Some("b"));
    check(r"(?<!a)b", "ab b", Some("b"));
    check(r"a(?=b)", "aab", Some("a"));
    check(r"a(?!b)", "aba", Some("a"));
    check(r"(a|b)\1", "abb", Some("bb"));
    check(r#"(?<q>['"])x\k<q>"#, "'x\" 'x'", Some("'x'"));
    check(r"\A(?<p>\((?:\g<p>|[^()])*\))\z", "(a(b)(c))", Some("(a(b)(c))"));
    check(r"(.)\g<1>\1", "ABB", Some("ABB"));
    check(r"(a)?(?(1)b|c)", "ab", Some("ab"));
    check(r"a\Kb", "ab", Some("b"));
}

#[test]
fn groups_by_name() {
    let regex = Regex::new(r"(?<a>x)(y)|(?'b'z)|(?<a>w)").unwrap();
    assert_eq!(regex.names(), ["a", "b"]);
    assert_eq!(regex.group_count(), 4);
    assert_eq!(regex.group_names().collect::<Vec<_>>(), [None, Some("a"), Some("b"), Some("a")]);
    assert_eq!(regex.groups_of(0), [1, 3]);
    fields(r"(?<a>x)(y)|(?'b'z)|(?<a>w)", "-w", &[("a", "w")]);
    fields(r"(?<a>x)(y)|(?'b'z)|(?<a>w)", "xy", &[("a", "x")]);
    assert_eq!(Regex::new("(a)(?:b)(c)").unwrap().group_count(), 3);
}

#[test]
fn match_at_the_start() {
    let at_start = |pattern: &str, text: &str| Regex::new(pattern).unwrap().match_at_start(text.as_bytes());
    assert_eq!(at_start("ap", "app.log"), Some(2));
    assert_eq!(at_start("log$", "app.log"), None);
    assert_eq!(at_start("app", "xapp"), None);
    assert_eq!(at_start("x*", "app"), Some(0));
    assert_eq!(at_start("(?=a)a", "app"), Some(1));
}

#[test]
fn errors_say_where() {
    let fails = |pattern: &str, at: usize| {
        let error = Regex::new(pattern).expect_err(pattern);
        assert_eq!(error.at, at, "{pattern}: {error}");
    };
    fails("ab(c", 2);
    fails("a)", 1);
    fails("*a", 0);
    fails("a|+", 2);
    fails("ab[c", 2);
    fails("/ab[z-a]/", 4);
    fails(r"a\", 1);
    fails(r"\p{Nothing}", 0);
    fails(r"ab(?<x>c)\1", 9);
    fails(r"ab\k<x>", 2);
    fails("(?<>a)", 0);
    fails("(?y)", 0);
    fails("a{5,2}", 1);
    fails("[]", 0);
}

#[test]
fn any_bytes_are_searched() {
    assert_eq!(groups(r"^(?<a>[^ ]*) (?<b>.*)$", b"\xff\xfe x\x80y").unwrap().len(), 3);
    let regex = Regex::new(r"^(?<a>[^ ]*) (?<b>.*)$").unwrap();
    let mut slots = Slots::default();
    assert!(regex.captures(b"\xff\xfe x\x80y", &mut slots));
    assert_eq!((slots.get(1), slots.get(2)), (Some((0, 2)), Some((3, 6))));
    assert!(Regex::new("é(?=.)").unwrap().is_match("é\u{e9}".as_bytes()));
    assert!(Regex::new(r"(?<!a)b.$").unwrap().is_match(b"\xffb\xff"));
}

/// Patterns with what `regex` has no words for.
fn special_pattern() -> impl Strategy<Value = String> {
    let atom =
        prop::sample::select(vec!["a", "b", "[ab]", ".", " ", "é", "[^a]", "ab", "\\b", "^", "$", "\\Z", "\\d", "\\w"]);
    let quantifier = prop::sample::select(vec!["", "", "*", "+", "?", "*?", "+?", "*+", "++", "?+", "{1,2}", "{2}"]);
    let unit = (atom, quantifier)
        .prop_map(|(a, q)| if a.len() > 1 || "^$".contains(a) { a.to_owned() } else { format!("{a}{q}") });
    let fixed = prop::sample::select(vec!["a", "[ab]", "ab", ".b", "a|bb", "é", "^"]);
    let around = prop::sample::select(vec!["(?<=", "(?<!", "(?=", "(?!"]);
    let unit = prop_oneof![4 => unit, 1 => (around, fixed).prop_map(|(open, sub)| format!("{open}{sub})"))];
    unit.prop_recursive(3, 16, 4, |inner| {
        prop_oneof![
            4 => prop::collection::vec(inner.clone(), 1..5).prop_map(|parts| parts.concat()),
            2 => inner.clone().prop_map(|sub| format!("({sub})")),
            2 => inner.clone().prop_map(|sub| format!("(?>{sub})")),
            1 => inner.clone().prop_map(|sub| format!("(?={sub})")),
            1 => inner.clone().prop_map(|sub| format!("(?!{sub})")),
            1 => inner.clone().prop_map(|sub| format!("(?:{sub})?")),
            2 => prop::collection::vec(inner, 2..4).prop_map(|ways| format!("(?>{})", ways.join("|"))),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn lowered_specials_match_as_fancy_regex_does(
        pattern in special_pattern(),
        texts in prop::collection::vec("[ab é1\n]{0,12}", 8),
    ) {
        if let Ok(regex) = Regex::new(&pattern)
            && regex.engine() == "cut"
            && regex.slow.is_usable()
        {
            for text in &texts {
                assert!(stock::engines_agree(&regex, text.as_bytes()), "{pattern} gave up");
            }
        }
    }
}

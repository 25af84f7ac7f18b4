//! Every key of `[MULTILINE_PARSER]`, and the older keys of tail that join lines.

use crate::lab::Lab;

const OUT: &str = "[OUTPUT]\n    Name stdout\n    Match *\n    Format json_lines\n    Json_Date_Key false\n";
const PARSERS: &str = "[PARSER]\n    Name fields\n    Format regex\n    Regex ^(?<level>[A-Z]) (?<who>\\w+) (?<msg>.*)$\n\
    [PARSER]\n    Name dated\n    Format regex\n    Regex ^(?<date>\\d{4}) (?<text>.*)$\n\
    [PARSER]\n    Name user\n    Format regex\n    Regex ^user=(?<user>\\w+)$\n\
    [PARSER]\n    Name code\n    Format regex\n    Regex ^code=(?<code>\\w+)$\n\
    [PARSER]\n    Name first_of_docker\n    Format regex\n    Regex (?<log>^\\{\"log\":\"\\d{4} )\n";

fn conf(keys: &str) -> String {
    format!(
        "[SERVICE]\n    Flush 0.05\n    Parsers_File own.conf\n[INPUT]\n    Name tail\n    Tag t\n    Path a.log\n    Read_from_Head on\n{keys}{OUT}"
    )
}

/// What a tail with these keys makes of a file, line by line as it is printed.
fn tail(keys: &str, section: &str, text: &str) -> Vec<String> {
    let lab = Lab::new("multiline-keys");
    lab.write("own.conf", format!("{PARSERS}{section}"));
    lab.write("a.log", text);
    let done = lab.run(&conf(&format!("    Exit_On_Eof on\n{keys}"))).code(0);
    done.stdout.lines().map(str::to_owned).collect()
}

/// The same for a parser of its own.
fn own(keys: &str, text: &str) -> Vec<String> {
    tail("    Multiline.Parser own\n", &format!("[MULTILINE_PARSER]\n    Name own\n{keys}"), text)
}

fn logs(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|t| format!("{{\"log\":{}}}", serde_json::to_string(t).unwrap())).collect()
}

#[test]
fn types_match_strings_and_negate() {
    let rules = "    Type regex\n    Rule \"start_state\" \"/^\\d/\" \"more, less\"\n    Rule \"more, less\" \"/^ /\" \"more, less\"\n";
    assert_eq!(own(&rules.replace("more, less", "more"), "1\n a\nx\n b\n"), logs(&["1\n a\n", "x\n", " b\n"]));
    let table = [
        ("    Type endswith\n    Match_String ;\n", "a\nb;\nc;\nd\n", &["a\nb;", "c;\n", "d"][..]),
        ("    Type ends_with\n    Match_String ;\n", "a\nb;\n", &["a\nb;"]),
        ("    Type endswith\n    Match_String \\\n    Negate on\n", "a\\\nb\\\nc\nd\n", &["a\\\nb\\\nc", "d"]),
        ("    Type equal\n    Match_String .\n", "a\n.\nb.\n.\n", &["a\n.", "b.\n."]),
        ("    Type eq\n    Match_String .\n", "a\n.\n", &["a\n."]),
        ("    Type equal\n    Match_String +\n    Negate true\n", "+\n+\na\nb\n", &["+\n+\na", "b"]),
    ];
    for (keys, text, want) in table {
        let trim = |all: Vec<String>| all.iter().map(|t| t.replace("\\n\"}", "\"}")).collect::<Vec<_>>();
        assert_eq!(trim(own(keys, text)), trim(logs(want)), "{keys}");
    }
}

#[test]
fn fields_of_a_parser() {
    // The texts of `key_content` are joined; `key_pattern` says whether more follows; `key_group` tells streams apart.
    let text = "F a one\nP a two\nP b three\nF a four\nF b five\nno fields\n";
    let keys = "    Type equal\n    Match_String F\n    Parser fields\n    Key_Content msg\n    Key_Pattern level\n    Key_Group who\n";
    let want = [
        r#"{"level":"F","who":"a","msg":"one"}"#,
        r#"{"level":"P","who":"a","msg":"twofour"}"#,
        r#"{"level":"P","who":"b","msg":"threefive"}"#,
        r#"{"log":"no fields"}"#,
    ];
    assert_eq!(own(keys, text), want);
    // Without `key_group` there is one stream.
    let want = [
        r#"{"level":"F","who":"a","msg":"one"}"#,
        r#"{"level":"P","who":"a","msg":"twothreefour"}"#,
        r#"{"level":"F","who":"b","msg":"five"}"#,
        r#"{"log":"no fields"}"#,
    ];
    assert_eq!(own(&keys.replace("    Key_Group who\n", ""), text), want);
    // Without `key_pattern` the text itself is looked at.
    let keys = "    Type endswith\n    Match_String .\n    Parser fields\n    Key_Content msg\n";
    let want = [r#"{"level":"A","who":"a","msg":"one two."}"#, r#"{"level":"B","who":"b","msg":"three."}"#];
    assert_eq!(own(keys, "A a one \nA b two.\nB b three.\n"), want);
    // Rules look at it, too.
    let keys = "    Type regex\n    Parser fields\n    Key_Content msg\n    Rule \"start_state\" \"/^begin/\" \"in\"\n    \
                Rule \"in\" \"/^-/\" \"in\"\n";
    let want = [r#"{"level":"A","who":"a","msg":"begin\n- x\n- y"}"#, r#"{"level":"B","who":"b","msg":"begin"}"#];
    assert_eq!(own(keys, "A a begin\nA a - x\nB c - y\nB b begin\n"), want);
}

#[test]
fn flush_timeout() {
    let lab = Lab::new("multiline-timeout");
    let rules = "    Type regex\n    Rule \"start_state\" \"/^\\d/\" \"more\"\n    Rule \"more\" \"/^ /\" \"more\"\n";
    let section =
        |name: &str, time: &str| format!("[MULTILINE_PARSER]\n    Name {name}\n    Flush_Timeout {time}\n{rules}");
    lab.write("own.conf", section("quick", "50") + &section("slow", "3600000"));
    for (file, text) in [("a.log", "1 quick\n and\n"), ("b.log", "2 slow\n and\n")] {
        lab.write(file, text);
    }
    let second =
        "[INPUT]\n    Name tail\n    Tag u\n    Path b.log\n    Read_from_Head on\n    Multiline.Parser slow\n";
    let mut run = lab.start(&(conf("    Multiline.Parser quick\n").replace("[OUTPUT]", &format!("{second}[OUTPUT]"))));
    run.wait_stdout("1 quick\\n and\\n");
    lab.append("a.log", "3 quick\n");
    run.wait_stdout("3 quick");
    assert!(!run.stdout().contains("slow"), "{}", run.stdout());
    lab.append("b.log", " and more\n3 slow\n");
    run.wait_stdout("2 slow\\n and\\n and more\\n");
    run.term().code(0);
}

#[test]
fn each_file_has_the_parser_that_fits_it() {
    let lab = Lab::new("multiline-chosen");
    let cri = |mark: &str, text: &str| format!("2024-05-01T10:00:00.1Z stdout {mark} {text}\n");
    let docker =
        |text: &str| format!("{{\"log\":\"{text}\",\"stream\":\"stdout\",\"time\":\"2024-05-01T10:00:00.1Z\"}}\n");
    // A line of JSON in a CRI file is no line of Docker's.
    lab.write("in/a.log", cri("P", "on") + &cri("F", "e") + &cri("F", r#"{\"log\":\"x\"}"#));
    // The driver cuts at 16 KiB, wherever that is.
    let long = "0123456789abcdef".repeat(2500);
    let pieces: Vec<&str> = (0..3).map(|n| &long[n * 16384..((n + 1) * 16384).min(long.len())]).collect();
    lab.write(
        "in/b.log",
        docker(pieces[0]) + &docker(pieces[1]) + &docker(&format!("{}\\n", pieces[2])) + &docker("next\\n"),
    );
    for parsers in ["docker, cri", "cri, docker"] {
        let keys = format!("    Exit_On_Eof on\n    Multiline.Parser {parsers}\n");
        let conf = conf(&keys).replace("a.log", "in/*.log").replace("    Parsers_File own.conf\n", "");
        let out = lab.run(&conf).code(0).stdout;
        let mut got: Vec<String> = out
            .lines()
            .map(|l| serde_json::from_str::<serde_json::Value>(l).unwrap()["log"].as_str().unwrap().into())
            .collect();
        got.sort();
        let mut want = ["one".to_owned(), r#"{\"log\":\"x\"}"#.into(), format!("{long}\n"), "next\n".into()];
        want.sort();
        assert_eq!(got, want, "{parsers}");
    }
}

#[test]
fn the_older_way_by_first_lines() {
    let keys = "    Multiline on\n    Parser_Firstline dated\n    Parser_1 user\n    Parser_2 code\n";
    let text = "early\n2024 one\n more\nuser=me\ncode=7\n2025 two\n";
    let want = [
        r#"{"log":"early"}"#,
        r#"{"date":"2024","text":"one\n more","user":"me","code":"7"}"#,
        r#"{"date":"2025","text":"two"}"#,
    ];
    assert_eq!(tail(keys, "", text), want);
    // What waits comes after Multiline_Flush.
    let lab = Lab::new("multiline-flush");
    lab.write("own.conf", PARSERS);
    lab.write("a.log", "2024 one\n more\n");
    let mut run = lab.start(&conf(&format!("{keys}    Multiline_Flush 0.05\n")));
    run.wait_stdout("one\\n more");
    run.term().code(0);
}

/// One of Docker's lines.
fn docker(text: &str, stream: &str, second: u32) -> String {
    format!(
        "{{\"log\":{},\"stream\":\"{stream}\",\"time\":\"2024-05-01T10:00:0{second}Z\"}}\n",
        serde_json::to_string(text).unwrap()
    )
}

fn of_docker(text: &str, stream: &str, second: u32) -> String {
    let text = serde_json::to_string(text).unwrap();
    format!("{{\"log\":{text},\"stream\":\"{stream}\",\"time\":\"2024-05-01T10:00:0{second}Z\"}}")
}

#[test]
fn docker_mode() {
    let text = docker("he", "stdout", 1)
        + &docker("err\n", "stderr", 2)
        + &docker("llo\n", "stdout", 3)
        + "{\"log\":\"bare\\n\"}\n";
    let want = [of_docker("err\n", "stderr", 2), of_docker("hello\n", "stdout", 1), "{\"log\":\"bare\\n\"}".into()];
    assert_eq!(tail("    Docker_Mode on\n", "", &text), want);
    assert_eq!(tail("    Docker_Mode on\n    Parser docker\n", "", &text), want);
    // The parser that is given takes the lines apart: it may rename nothing, but add.
    let json = "[PARSER]\n    Name timed\n    Format json\n    Time_Key time\n    Time_Format %Y-%m-%dT%H:%M:%S%z\n";
    let without = |line: &String| line.split(",\"time\"").next().unwrap().to_owned() + "}";
    let mut want: Vec<String> = want.iter().map(without).collect();
    want[2] = "{\"log\":\"bare\\n\"}".into();
    assert_eq!(tail("    Docker_Mode on\n    Parser timed\n", json, &text), want);
}

#[test]
fn docker_mode_with_a_parser_for_first_lines() {
    let keys = "    Docker_Mode on\n    Docker_Mode_Parser first_of_docker\n";
    let text = docker("2024 lines:\n", "stdout", 1)
        + &docker("  fir", "stdout", 2)
        + &docker("2024 other\n", "stderr", 3)
        + &docker("st\n", "stdout", 4)
        + &docker("  second\n", "stdout", 5)
        + &docker("2025 next\n", "stdout", 6);
    let want = [
        of_docker("2024 lines:\n  first\n  second\n", "stdout", 1),
        of_docker("2024 other\n", "stderr", 3),
        of_docker("2025 next\n", "stdout", 6),
    ];
    assert_eq!(tail(keys, "", &text), want);
    // A first line inside of a text that goes on is none.
    let text = docker("2024 a ", "stdout", 1) + &docker("2024 b\n", "stdout", 2) + &docker("2024 c\n", "stdout", 3);
    assert_eq!(tail(keys, "", &text), [of_docker("2024 a 2024 b\n", "stdout", 1), of_docker("2024 c\n", "stdout", 3)]);
}

#[test]
fn docker_mode_flush() {
    let lab = Lab::new("docker-flush");
    lab.write("own.conf", PARSERS);
    lab.write("a.log", docker("2024 one\n", "stdout", 1) + &docker(" more\n", "stdout", 2));
    let keys = "    Docker_Mode on\n    Docker_Mode_Parser first_of_docker\n    Docker_Mode_Flush 0.05\n";
    let mut run = lab.start(&conf(keys));
    run.wait_stdout("2024 one\\n more\\n");
    run.term().code(0);
    // Without the key four seconds; the piece of a text waits for as long.
    lab.write("a.log", docker("piece", "stdout", 1));
    let mut run = lab.start(&conf("    Docker_Mode on\n    Docker_Mode_Flush 0.05\n"));
    run.wait_stdout("\"piece\"");
    run.term().code(0);
}

#[test]
fn ways_to_join_lines_exclude_each_other() {
    let lab = Lab::new("multiline-exclude");
    lab.write("own.conf", PARSERS);
    let table = [
        (
            "    Docker_Mode on\n    Multiline on\n    Parser_Firstline dated\n",
            "Docker_Mode and Multiline exclude each other",
        ),
        ("    Docker_Mode on\n    Multiline.Parser cri\n", "Multiline.Parser excludes Multiline and Docker_Mode"),
        ("    Docker_Mode on\n    Docker_Mode_Parser nix\n", "parser 'nix' is not registered"),
        ("    Docker_Mode on\n    Parser nix\n", "parser 'nix' is not registered"),
    ];
    for (keys, want) in table {
        lab.write("c.conf", conf(keys));
        lab.exec(&["-c", "c.conf", "--dry-run"]).code(1).says(&[want]);
    }
}

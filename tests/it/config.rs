//! Wrong configurations: everything is said at once, with its place; the exit code is 1 and nothing is started.

use crate::lab::{Lab, TcpSink, skip};

const PIPELINE: &str = "[INPUT]\n    Name dummy\n    Samples 1\n[OUTPUT]\n    Name null\n    Match *\n";
const FAILED: &str = "check properties for input plugins is failed";

/// Runs a configuration, really and as a dry run: both must end with 1 and say all of this.
#[track_caller]
fn check(lab: &Lab, conf: &str, parts: &[&str]) {
    lab.write("c.conf", conf);
    let real = lab.exec(&["-c", "c.conf"]).code(1).says(parts).prints("").silent_about(&["panicked", "[engine]"]);
    let dry = lab.exec(&["-c", "c.conf", "--dry-run"]).code(1).prints("");
    assert_eq!(real.stderr, dry.stderr, "the dry run says the same");
}

#[test]
fn one_mistake_each() {
    let lab = Lab::new("mistakes");
    let input = |keys: &str| format!("[INPUT]\n    Name dummy\n{keys}[OUTPUT]\n    Name null\n    Match *\n");
    let pipeline = |more: &str| format!("{PIPELINE}{more}");
    let table: &[(String, &[&str])] = &[
        // Sections, keys and plugins that do not exist.
        (
            pipeline("[SERVICE]\n    Flsh 1\n"),
            &["c.conf:8:5: ", "unknown configuration property 'Flsh'. Did you mean 'Flush'?"],
        ),
        (
            input("    Tga x\n"),
            &[
                "c.conf:3:5: [input:dummy:dummy.0] unknown configuration property 'Tga'. Did you mean 'Tag'?",
                "The following properties are allowed: ",
                FAILED,
            ],
        ),
        (
            input("    mem_buf_limitt 1\n"),
            &["unknown configuration property 'mem_buf_limitt'. Did you mean 'Mem_Buf_Limit'?", FAILED],
        ),
        (input("    storage.typo 1\n"), &["unknown configuration property 'storage.typo'", FAILED]),
        (pipeline("[INPUTX]\n    Name dummy\n"), &["c.conf:7:1: unknown section [INPUTX]", "Did you mean '[INPUT]'?"]),
        (
            pipeline("[FILTER]\n    Name grp\n"),
            &[
                "c.conf:8:10: ",
                "section 'grp' tried to instance a plugin name that doesn't exist",
                "Did you mean 'grep'?",
            ],
        ),
        (pipeline("[OUTPUT]\n    Name s3\n    Match *\n"), &["output plugin 's3' is known but not served yet"]),
        (pipeline("[OUTPUT]\n    Match *\n"), &["c.conf:7:1: ", "section [OUTPUT] has no 'Name'"]),
        (pipeline("[PARSER]\n    Name x\n"), &["section [PARSER] does not belong into the main file", "Parsers_File"]),
        // Values.
        (input("    Samples many\n"), &["c.conf:3:13: ", "Samples", "many"]),
        (input("    Fixed_Timestamp maybe\n"), &["c.conf:3:21: ", "maybe"]),
        (input("    Mem_Buf_Limit 5XB\n"), &["c.conf:3:19: ", "5XB"]),
        (input("    Dummy {\"a\":\n"), &["c.conf:3:11: ", "is not a JSON object"]),
        (input("    Rate 0\n"), &["c.conf:3:10: ", "Rate 0 makes no record"]),
        (pipeline("[SERVICE]\n    Flush never\n"), &["c.conf:8:11: ", "never"]),
        (pipeline("[SERVICE]\n    Log_Level loud\n"), &["c.conf:8:15: ", "loud"]),
        // The form of the file.
        ("[INPUT\n    Name dummy\n".into(), &["c.conf:1"]),
        ("[INPUT]\n    Name\tdummy\n".into(), &["c.conf:2:5: ", "undefined value"]),
        ("[INPUT]\n    Name\n".into(), &["c.conf:2:5: ", "undefined value"]),
        ("[INPUT]\n    Name dummy\n  Tag x\n".into(), &["c.conf:3", "indentation level is too low"]),
        ("[INPUT]\n    Name dummy\n\tTag x\n".into(), &["c.conf:3", "tab"]),
        ("[INPUT]\n    Name dummy\n      Tag x\n".into(), &["c.conf:3", "extra indentation"]),
        ("    Name dummy\n".into(), &["c.conf:1"]),
        ("@INCLUDE none.conf\n".into(), &["c.conf:1", "none.conf"]),
        ("@INCLUDE none-*.conf\n".into(), &["c.conf:1", "none-*.conf"]),
        ("@INCLUDE c.conf\n".into(), &["c.conf:1"]),
        ("@SET novalue\n".into(), &["c.conf:1"]),
        // Parsers.
        (
            pipeline("[SERVICE]\n    Parsers_File none.conf\n"),
            &["c.conf:8:18: parsers file 'none.conf' does not exist"],
        ),
    ];
    for (conf, parts) in table {
        check(&lab, conf, parts);
    }
}

#[test]
fn everything_wrong_is_said_at_once() {
    let lab = Lab::new("at-once");
    lab.write(
        "p.conf",
        "[PARSER]\n    Name a\n    Format regex\n    Regex (?<x>[a-\n    Type x:int\n[PARSR]\n    Name b\n",
    );
    let conf = "[SERVICE]\n    Parsers_File p.conf\n    Flsh 1\n[INPUT]\n    Name dummy\n    Samples x\n    Tga y\n\
                [FILTER]\n    Name grep\n    Regx log .\n    Match *\n[OUTPUT]\n    Name nul\n    Match *\n[OUTPUTT]\n    a b\n";
    check(
        &lab,
        conf,
        &[
            "c.conf:3:5: ",
            "c.conf:6:13: ",
            "c.conf:7:5: ",
            "c.conf:10:5: ",
            "c.conf:13:10: ",
            "c.conf:15:1: ",
            "p.conf:5:5: ",
            "p.conf:6:1: ",
            "unknown configuration property 'Tga'",
            "unknown configuration property 'Regx'. Did you mean 'Regex'?",
            FAILED,
            "check properties for filter plugins is failed",
        ],
    );
}

#[test]
fn a_bad_regular_expression_is_shown_with_its_place() {
    let lab = Lab::new("bad-regex");
    lab.write("p.conf", "[PARSER]\n    Name a\n    Format regex\n    Regex ^(?<x>[a-z]+ (?<y>\\d+$\n");
    let conf = format!("[SERVICE]\n    Parsers_File p.conf\n{PIPELINE}");
    check(&lab, &conf, &["p.conf:4:24: [parser:a] Regex: group without its closing parenthesis"]);
    check(
        &lab,
        &format!("{PIPELINE}[FILTER]\n    Name grep\n    Match *\n    Regex log [z-a]\n"),
        &["c.conf:10:11: ", "[filter:grep:grep.0]"],
    );
    check(
        &lab,
        &format!("{PIPELINE}[FILTER]\n    Name grep\n    Match_Regex (\n    Regex log .\n"),
        &["c.conf:9:17: ", "Match_Regex"],
    );
}

#[test]
fn an_unknown_parser_is_refused() {
    let lab = Lab::new("unknown-parser");
    let conf = "[INPUT]\n    Name tail\n    Path x.log\n    Parser dokcer\n[OUTPUT]\n    Name null\n    Match *\n";
    check(&lab, conf, &["c.conf:4:12: [input:tail:tail.0]", "parser 'dokcer'", "Did you mean 'docker'?"]);
}

#[test]
fn nothing_is_started() {
    let lab = Lab::new("nothing-started");
    let sink = TcpSink::new();
    let conf = format!(
        "[INPUT]\n    Name tail\n    Path *.log\n    DB t.db\n    Read_from_Head on\n[OUTPUT]\n    Name tcp\n    Match *\n    Host 127.0.0.1\n    Port {}\n\
         [OUTPUT]\n    Name file\n    Match *\n    Path out\n    Mkdir on\n    Fiel x\n",
        sink.port()
    );
    lab.write("a.log", "line\n");
    check(&lab, &conf, &["unknown configuration property 'Fiel'"]);
    assert_eq!(sink.connections(), 0);
    for path in ["t.db", "out"] {
        assert!(!lab.path(path).exists(), "{path} was made");
    }
}

#[test]
fn a_right_configuration_passes_the_dry_run() {
    let mut lab = Lab::new("dry-run");
    lab.write("c.conf", PIPELINE);
    lab.exec(&["-c", "c.conf", "--dry-run"]).code(0).prints("configuration test is successful\n");
    // Warnings are said, and do not fail it.
    lab.write(
        "w.conf",
        format!("{PIPELINE}    Tag ${{NOWHERE}}\n[OUTPUT]\n    Name null\n")
            .replace("    Tag", "[SERVICE]\n    Hot_Reload on\n    Log_File"),
    );
    lab.exec(&["-c", "w.conf", "-D"]).code(0).says(&["'Hot_Reload' is not served yet", "no Match", "${NOWHERE}"]);
    // Includes, variables and every harmless form.
    lab.write("sub/in.conf", "# a comment\n[INPUT]\r\n  nAmE  dummy   \r\n  TAG ${WHERE}.${KIND:-plain}\r\n\r\n  # another\r\n  Samples 1\r\n");
    lab.write("sub/out.conf", "[OUTPUT]\n\tName null\n\tMatch *");
    lab.write("i.conf", "@SET WHERE=here\n@include sub/*.conf\n[SERVICE]\n   Flush 0.2\n");
    lab.env("KIND", "odd");
    lab.exec(&["-c", "i.conf", "-D"]).code(0).silent_about(&["warning"]);
}

/// Those that come with the project are right, and nothing about them is worth a warning.
#[test]
fn the_shipped_configurations_pass() {
    let lab = Lab::new("shipped-configs");
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let conf = std::fs::read_dir(root.join("conf")).unwrap().flatten().map(|e| e.path());
    let all = conf.filter(|p| p.extension().is_some_and(|e| e == "conf")).chain([root.join("fluent-bit.conf")]);
    let mut count = 0;
    for path in all {
        count += 1;
        let done = lab.exec(&["-c", path.to_str().unwrap(), "--dry-run"]);
        if cfg!(not(feature = "default")) && done.stderr.contains("feature") {
            skip(&format!("{} needs what this build leaves out", path.display()));
            continue;
        }
        let done = done.code(0);
        assert_eq!(done.stderr, "", "{}", done.report());
    }
    assert!(count >= 4);
}

#[test]
fn files_that_are_no_configuration() {
    let lab = Lab::new("no-conf");
    lab.write("bytes.conf", [PIPELINE.as_bytes(), b"[SERVICE]\n    Log_File \xff\xfe\n"].concat());
    lab.exec(&["-c", "bytes.conf", "-D"]).code(0).says(&["bytes.conf:8:14: warning: bytes that are not UTF-8"]);
    let table: &[(&[u8], &[&str])] = &[
        (b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0", &["c.conf:1"]),
        (b"\xff\xfe[\0I\0N\0P\0U\0T\0]\0", &["c.conf:1"]),
        (b"{\"pipeline\": {}}\n", &["c.conf:1"]),
    ];
    for (bytes, parts) in table {
        lab.write("c.conf", bytes);
        lab.exec(&["-c", "c.conf"]).code(1).says(parts).silent_about(&["panicked"]);
    }
    lab.exec(&["-c", "."]).code(1).says(&["'.'"]);
    lab.write("c.yaml", "pipeline:\n");
    lab.exec(&["-c", "c.yaml"]).code(1).says(&["configurations in YAML are not served yet"]);
}

//! The command line: help, versions, generated documents, pipelines without a file.

use crate::lab::Lab;

#[test]
fn help_and_version() {
    let lab = Lab::new("help");
    lab.exec(&["-h"]).code(0).shows(&["Usage: collector", "-c, --config FILE", "Inputs\n", "  dummy ", "-F, "]);
    lab.exec(&["-V"]).code(0).shows(&["collector v", "Fluent Bit v5."]);
    lab.exec(&["--version", "-v"]).code(0).shows(&["collector v", "Target: ", "Features: ", "Commit: "]);
    lab.exec(&["-i", "dummy", "-h"]).code(0).shows(&["dummy input plugin", "Samples", "default 0", "Mem_Buf_Limit"]);
    lab.exec(&["-i", "tail", "-h"]).code(0).shows(&[
        "Read_from_Head",
        "default false",
        "Exclude_Path",
        "not served yet",
    ]);
    #[cfg(feature = "es")]
    lab.exec(&["-o", "es", "-h"]).code(0).shows(&["Logstash_Format", "tls.verify_hostname", "Retry_Limit"]);
    lab.exec(&["-i", "dumy", "-h"]).code(1).says(&["no input plugin is called 'dumy'. Did you mean 'dummy'?"]);
}

#[test]
fn the_documents_are_printed() {
    let lab = Lab::new("docs");
    let done = lab.exec(&["--docs"]).code(0).shows(&["# Plugins and their properties", "### dummy"]);
    assert_eq!(done.stdout, collector::cli::docs::markdown(&collector::cli::catalog()));
    let done = lab.exec(&["-J"]).code(0);
    let all: serde_json::Value = serde_json::from_str(&done.stdout).unwrap();
    assert!(all["inputs"].as_array().is_some_and(|l| l.iter().any(|p| p["name"] == "dummy")));
}

#[test]
fn what_cannot_be_understood_is_refused() {
    let lab = Lab::new("refused");
    lab.exec(&[]).code(1).says(&["nothing to run"]);
    lab.exec(&["--confg", "x"]).code(1).says(&["unknown option '--confg'. Did you mean '--config'?"]);
    lab.exec(&["-c"]).code(1).says(&["-c/--config needs a value"]);
    lab.exec(&["-c", "none.conf"]).code(1).says(&["none.conf"]);
    lab.exec(&["-i", "dummy", "-o", "null", "-m", "a", "b"])
        .code(1)
        .says(&["unexpected argument 'b'", "quote the star"]);
    lab.exec(&["-Y"]).code(1).says(&["-Y/--enable-hot-reload: hot reload is not served yet"]);
    lab.exec(&["-p", "a=b"]).code(1).says(&["-p/--prop needs an input, a filter or an output"]);
}

//! The table of all flags: the parser, the help and the suggestions are made from it.

/// One flag.
#[derive(Debug, Clone, Copy)]
pub struct Flag {
    /// The letter after one dash.
    pub short: Option<char>,
    /// The word after two dashes.
    pub long: &'static str,
    /// What its value is called, when it takes one.
    pub value: Option<&'static str>,
    /// What it does; for a flag that is not served, why not.
    pub doc: &'static str,
    /// Whether it can be honoured.
    pub served: bool,
}

const fn flag(short: char, long: &'static str, value: &'static str, doc: &'static str) -> Flag {
    let short = if short == ' ' { None } else { Some(short) };
    let value = if value.is_empty() { None } else { Some(value) };
    Flag { short, long, value, doc, served: true }
}

const fn unserved(short: char, long: &'static str, value: &'static str, doc: &'static str) -> Flag {
    Flag { served: false, ..flag(short, long, value, doc) }
}

/// Every flag, in the order of the help.
pub const FLAGS: &[Flag] = &[
    flag('c', "config", "FILE", "read this configuration"),
    flag('D', "dry-run", "", "check the configuration, start nothing"),
    flag(' ', "replay-rejected", "FILE", "send the records of this file of rejected ones again, then end"),
    flag(' ', "setup", "DIR", "load the index templates and dashboards of this folder (conf/kibana), then end"),
    flag(' ', "elasticsearch", "URL", "where --setup puts the index templates"),
    flag(' ', "kibana", "URL", "where --setup puts the dashboards; OpenSearch Dashboards will do"),
    flag('i', "input", "NAME", "add an input"),
    flag('F', "filter", "NAME", "add a filter"),
    flag('o', "output", "NAME", "add an output"),
    flag('p', "prop", "KEY=VALUE", "set a property of the last input, filter or output"),
    flag('t', "tag", "TAG", "set the tag of the last input"),
    flag('m', "match", "PATTERN", "set what the last filter or output takes; quote it: -m '*'"),
    flag('f', "flush", "SECONDS", "time between deliveries"),
    flag('R', "parser", "FILE", "read parsers from this file; may be repeated"),
    flag('d', "daemon", "", "run in the background"),
    flag('H', "http", "", "tell over HTTP how the pipeline is (HTTP_Server)"),
    flag('P', "port", "PORT", "the port for that (HTTP_Port)"),
    flag('l', "log_file", "FILE", "write the log to this file"),
    flag('v', "verbose", "", "log at debug level; twice: trace"),
    flag('q', "quiet", "", "no banner, and errors only"),
    flag('w', "workdir", "DIR", "work in this directory"),
    flag('h', "help", "", "this text; after -i, -F or -o: the properties of that plugin"),
    flag(' ', "list-interfaces", "", "the network interfaces that can be captured from"),
    flag('J', "help-json", "", "all plugins and their properties as JSON"),
    flag(' ', "docs", "", "all plugins and their properties as Markdown"),
    flag('V', "version", "", "the version; with -v: target, features and commit, too"),
    unserved('b', "storage_path", "DIR", "storing chunks on disk is not served yet"),
    unserved('Y', "enable-hot-reload", "", "hot reload is not served yet"),
    unserved('W', "disable-thread-safety-on-hot-reloading", "", "hot reload is not served yet"),
    unserved('C', "custom", "NAME", "custom plugins are not served"),
    unserved('e', "plugin", "FILE", "plugins cannot be loaded at run time"),
    unserved('T', "sp-task", "SQL", "the stream processor is not served"),
    unserved('Z', "enable-chunk-trace", "", "chunk traces are not served"),
    unserved(' ', "trace", "TRACE", "chunk traces are not served"),
    unserved(' ', "trace-input", "NAME", "chunk traces are not served"),
    unserved(' ', "trace-output", "NAME", "chunk traces are not served"),
    unserved(' ', "trace-output-property", "KEY=VALUE", "chunk traces are not served"),
    unserved('s', "coro_stack_size", "BYTES", "there are no coroutine stacks to size: leave it out"),
    unserved('S', "sosreport", "", "support reports are not served"),
    unserved(' ', "supervisor", "", "let systemd or the container runtime restart the program instead"),
    unserved(' ', "enable-fips", "", "the TLS library of this build has no FIPS mode"),
];

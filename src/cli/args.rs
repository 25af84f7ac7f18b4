//! The command line as plain values: what to do, and the sections its flags stand for.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use lexopt::{Arg, Parser, ValueExt};

use super::flags::{FLAGS, Flag};
use crate::conf::{Kind, Section};
use crate::error::Place;
use crate::util::suggest::nearest;

/// What the command line asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Run the pipeline.
    Run,
    /// Check the configuration only.
    DryRun,
    /// Print the general help.
    Help,
    /// Print the properties of a plugin.
    PluginHelp(Kind, String),
    /// Print the network interfaces.
    ListInterfaces,
    /// Load index templates and dashboards into their servers.
    Setup,
    /// Print all plugins as JSON.
    HelpJson,
    /// Print all plugins as Markdown.
    Docs,
    /// Print the version; `true`: and what it was built from, with which features, for which target.
    Version(bool),
}

/// What is loaded, and where to.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Setup {
    /// The folder.
    pub folder: Option<PathBuf>,
    /// Takes the index templates.
    pub elasticsearch: Option<String>,
    /// Takes the dashboards.
    pub kibana: Option<String>,
}

/// The command line.
#[derive(Debug)]
pub struct Args {
    /// What to do.
    pub action: Action,
    /// The main configuration file.
    pub config: Option<PathBuf>,
    /// A file of rejected records to send again, instead of running the pipeline.
    pub replay: Option<PathBuf>,
    /// What [`Action::Setup`] loads.
    pub setup: Setup,
    /// `[INPUT]`, `[FILTER]` and `[OUTPUT]` in the order of their flags, then a `[SERVICE]` with the settings given.
    pub sections: Vec<Section>,
    /// No banner.
    pub quiet: bool,
    /// The directory to work in. Relative names of the configuration, its own included, start there.
    pub workdir: Option<PathBuf>,
}

impl Args {
    /// Reads the arguments (without the program's name). The error is one line for the user.
    pub fn parse(args: impl IntoIterator<Item = OsString>) -> Result<Self, String> {
        let mut builder = Builder::default();
        let mut args = args.into_iter().peekable();
        // `docker run IMAGE /fluent-bit/bin/fluent-bit -i …`: the image names its program, the command names it again.
        args.next_if(|first| names_program(first));
        let mut parser = Parser::from_args(args);
        loop {
            let flag = match parser.next().map_err(|e| e.to_string())? {
                None => return builder.finish(),
                Some(Arg::Short(c)) => FLAGS.iter().find(|f| f.short == Some(c)).ok_or_else(|| unknown(&c.to_string())),
                Some(Arg::Long(word)) => FLAGS.iter().find(|f| f.long == word).ok_or_else(|| unknown(word)),
                Some(Arg::Value(value)) => return Err(stray(&value.to_string_lossy(), &builder)),
            }?;
            if !flag.served {
                return Err(format!("{}: {}", shown(flag), flag.doc));
            }
            let value = match flag.value {
                Some(name) => Some(parser.value().map_err(|_| format!("{} needs a value: {name}", shown(flag)))?),
                None => None,
            };
            builder.take(flag, value)?;
        }
    }
}

/// Whether a word is the path of this program, under either of its names.
fn names_program(word: &OsStr) -> bool {
    let path = Path::new(word);
    path.is_absolute() && path.file_name().is_some_and(|name| name == "collector" || name == "fluent-bit")
}

impl Args {
    /// Changes to the directory of `-w`. The paths of `-c`, `--replay-rejected` and `--setup` keep meaning what they meant before.
    pub fn enter_workdir(&mut self) -> Result<(), String> {
        let Some(dir) = &self.workdir else { return Ok(()) };
        for path in [&mut self.config, &mut self.replay, &mut self.setup.folder].into_iter().flatten() {
            *path = std::path::absolute(&*path).map_err(|e| format!("'{}': {e}", path.display()))?;
        }
        std::env::set_current_dir(dir).map_err(|e| format!("cannot work in '{}': {e}", dir.display()))
    }
}

/// What has been read so far.
#[derive(Debug)]
struct Builder {
    args: Args,
    service: Section,
    verbosity: u8,
}

impl Default for Builder {
    fn default() -> Self {
        let args = Args {
            action: Action::Run,
            config: None,
            replay: None,
            setup: Setup::default(),
            sections: Vec::new(),
            quiet: false,
            workdir: None,
        };
        Self { args, service: Section::new("SERVICE", Place::command_line()), verbosity: 0 }
    }
}

impl Builder {
    fn take(&mut self, flag: &Flag, value: Option<OsString>) -> Result<(), String> {
        let path = value.as_ref().map(PathBuf::from);
        let text = match value {
            Some(value) => value.string().map_err(|_| format!("the value of {} is not UTF-8", shown(flag)))?,
            None => String::new(),
        };
        match flag.long {
            "config" => self.args.config = path,
            "workdir" => self.args.workdir = path,
            "replay-rejected" => self.args.replay = path,
            "setup" => {
                self.args.action = Action::Setup;
                self.args.setup.folder = path;
            }
            "elasticsearch" => self.args.setup.elasticsearch = Some(text),
            "kibana" => self.args.setup.kibana = Some(text),
            "input" => self.plugin(Kind::Input, &text)?,
            "filter" => self.plugin(Kind::Filter, &text)?,
            "output" => self.plugin(Kind::Output, &text)?,
            "prop" => {
                let Some((key, value)) = text.split_once('=').filter(|(k, v)| !k.trim().is_empty() && !v.is_empty())
                else {
                    return Err(format!("-p takes KEY=VALUE, got '{text}'"));
                };
                self.last(flag, &Kind::ALL)?.push(key.trim(), value.trim());
            }
            "tag" => self.last(flag, &[Kind::Input])?.push("tag", &text),
            "match" => self.last(flag, &[Kind::Filter, Kind::Output])?.push("match", &text),
            "flush" => self.service.push("flush", &text),
            "parser" => self.service.push("parsers_file", &text),
            "log_file" => self.service.push("log_file", &text),
            "http" => self.service.push("http_server", "on"),
            "port" => self.service.push("http_port", &text),
            "daemon" => self.service.push("daemon", "on"),
            "verbose" => self.verbosity = self.verbosity.saturating_add(1),
            "quiet" => self.args.quiet = true,
            "dry-run" => self.args.action = Action::DryRun,
            "list-interfaces" => self.args.action = Action::ListInterfaces,
            "help-json" => self.args.action = Action::HelpJson,
            "docs" => self.args.action = Action::Docs,
            "version" => self.args.action = Action::Version(false),
            _ => self.args.action = self.help(),
        }
        Ok(())
    }

    /// Begins a plugin. `NAME://HOST:PORT` gives its host and port too.
    fn plugin(&mut self, kind: Kind, text: &str) -> Result<(), String> {
        let (name, address) = match text.split_once("://") {
            Some((name, address)) => (name, Some(address)),
            None => (text, None),
        };
        let mut section = Section::new(kind.section(), Place::command_line());
        section.push("name", name);
        if let Some(address) = address {
            if let Some((_, path)) = address.split_once('/').filter(|(_, path)| !path.is_empty()) {
                return Err(format!("'{text}': a path is not read from the address; give '{path}' with -p"));
            }
            let address = address.trim_end_matches('/');
            // The colons of an IPv6 address stand in brackets.
            let (host, port) = match address.rsplit_once(':') {
                Some((host, port)) if !port.contains(']') => (host, port),
                _ => (address, ""),
            };
            let host_key = if kind == Kind::Input { "listen" } else { "host" };
            for (key, value) in [(host_key, host.trim_matches(['[', ']'])), ("port", port)] {
                if !value.is_empty() {
                    section.push(key, value);
                }
            }
        }
        self.args.sections.push(section);
        Ok(())
    }

    /// The section a flag belongs to: the last one, which must be of one of these kinds. A tag reaches back to the last input.
    fn last(&mut self, flag: &Flag, kinds: &[Kind]) -> Result<&mut Section, String> {
        let fits = |s: &&mut Section| Kind::of_section(&s.name).is_some_and(|k| kinds.contains(&k));
        let last = match flag.long {
            "tag" => self.args.sections.iter_mut().rev().find(fits),
            _ => self.args.sections.last_mut().filter(fits),
        };
        let before = match flag.long {
            "tag" => "an input (-i)",
            "match" => "a filter or an output (-F, -o)",
            _ => "an input, a filter or an output (-i, -F, -o)",
        };
        last.ok_or_else(|| format!("{} needs {before} before it", shown(flag)))
    }

    /// After `-i NAME` the help is that of the plugin.
    fn help(&self) -> Action {
        let last = self.args.sections.last();
        match last.and_then(|s| Kind::of_section(&s.name).zip(s.value("name"))) {
            Some((kind, name)) => Action::PluginHelp(kind, name.to_owned()),
            None => Action::Help,
        }
    }

    fn finish(mut self) -> Result<Args, String> {
        let level = match (self.args.quiet, self.verbosity) {
            (_, 2..) => Some("trace"),
            (_, 1) => Some("debug"),
            (true, 0) => Some("error"),
            (false, 0) => None,
        };
        if let Some(level) = level {
            self.service.push("log_level", level);
        }
        if self.args.action == Action::Version(false) && self.verbosity > 0 {
            self.args.action = Action::Version(true);
        }
        let runs = matches!(self.args.action, Action::Run | Action::DryRun);
        if runs && self.args.config.is_none() && self.args.sections.is_empty() {
            return Err("nothing to run: give -c FILE, or a pipeline such as -i dummy -o stdout (-h shows more)".into());
        }
        if !self.service.entries.is_empty() {
            self.args.sections.push(self.service);
        }
        Ok(self.args)
    }
}

/// `-c/--config`, for messages.
fn shown(flag: &Flag) -> String {
    match flag.short {
        Some(c) => format!("-{c}/--{}", flag.long),
        None => format!("--{}", flag.long),
    }
}

fn unknown(word: &str) -> String {
    let dashes = if word.chars().count() == 1 { "-" } else { "--" };
    match nearest(word, FLAGS.iter().map(|f| f.long)) {
        Some(near) => format!("unknown option '{dashes}{word}'. Did you mean '--{near}'?"),
        None => format!("unknown option '{dashes}{word}' (-h lists them)"),
    }
}

/// A word that belongs to no flag: often the shell has replaced an unquoted star.
fn stray(word: &str, builder: &Builder) -> String {
    let starred = builder.args.sections.iter().any(|s| s.value("match").is_some());
    let hint = if starred { " (quote the star: -m '*')" } else { " (-h lists the options)" };
    format!("unexpected argument '{word}'{hint}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &[&str]) -> Result<Args, String> {
        Args::parse(line.iter().map(OsString::from))
    }

    /// The sections a command line stands for, as `INPUT name=a tag=b; …`.
    fn check(line: &[&str], expected: &str) {
        let args = parse(line).unwrap_or_else(|e| panic!("{line:?}: {e}"));
        let shown = args.sections.iter().map(|s| {
            let entries: String = s.entries.iter().map(|e| format!(" {}={}", e.key, e.value)).collect();
            format!("{}{entries}", s.name)
        });
        assert_eq!(shown.collect::<Vec<_>>().join("; "), expected, "{line:?}");
    }

    #[test]
    fn a_pipeline_in_the_order_of_its_flags() {
        check(
            &[
                "-i",
                "tail",
                "-p",
                "path=/x=y",
                "-t",
                "a",
                "-F",
                "grep",
                "-p",
                "regex=log .",
                "-m",
                "*",
                "--output=es",
                "-m",
                "a.*",
                "-pport=1",
            ],
            "INPUT name=tail path=/x=y tag=a; FILTER name=grep regex=log . match=*; OUTPUT name=es match=a.* port=1",
        );
        check(&["-i", "dummy", "-o", "null", "-t", "late"], "INPUT name=dummy tag=late; OUTPUT name=null");
        check(&["-o", "null", "-i", "dummy"], "OUTPUT name=null; INPUT name=dummy");
    }

    #[test]
    fn the_program_s_name_may_stand_first() {
        check(&["/fluent-bit/bin/fluent-bit", "-o", "null"], "OUTPUT name=null");
        check(&["/usr/bin/collector", "-o", "null"], "OUTPUT name=null");
        assert!(parse(&["/bin/sh", "-o", "null"]).unwrap_err().contains("unexpected argument '/bin/sh'"));
        assert!(parse(&["collector", "-o", "null"]).is_err() && parse(&["-o", "null", "/x/collector"]).is_err());
    }

    #[test]
    fn addresses() {
        check(&["-o", "tcp://h:5170"], "OUTPUT name=tcp host=h port=5170");
        check(&["-i", "tcp://0.0.0.0:1/"], "INPUT name=tcp listen=0.0.0.0 port=1");
        check(&["-o", "es://[::1]:9200"], "OUTPUT name=es host=::1 port=9200");
        check(&["-o", "es://[::1]"], "OUTPUT name=es host=::1");
        check(&["-o", "es://h"], "OUTPUT name=es host=h");
        assert!(parse(&["-o", "es://h:1/index/type"]).unwrap_err().contains("give 'index/type' with -p"));
    }

    #[test]
    fn settings_become_a_service_section() {
        check(
            &["-c", "x", "-f", "0.2", "-R", "p1", "-R", "p2", "-d", "-l", "log", "-vv"],
            "SERVICE flush=0.2 parsers_file=p1 parsers_file=p2 daemon=on log_file=log log_level=trace",
        );
        check(&["-c", "x", "-v"], "SERVICE log_level=debug");
        check(&["-c", "x", "-q"], "SERVICE log_level=error");
        check(&["-c", "x"], "");
        let args = parse(&["-c", "x.conf", "-w", "/tmp", "--quiet"]).unwrap();
        assert_eq!((args.config, args.workdir, args.quiet), (Some("x.conf".into()), Some("/tmp".into()), true));
        assert_eq!(parse(&["-c", "x", "--replay-rejected", "r"]).unwrap().replay, Some("r".into()));
    }

    #[test]
    fn actions() {
        let table = [
            (&["-h"][..], Action::Help),
            (&["-i", "tail", "-h"], Action::PluginHelp(Kind::Input, "tail".into())),
            (&["-i", "tail", "-o", "es", "--help"], Action::PluginHelp(Kind::Output, "es".into())),
            (&["-J"], Action::HelpJson),
            (&["--docs"], Action::Docs),
            (&["--list-interfaces"], Action::ListInterfaces),
            (&["-V"], Action::Version(false)),
            (&["--version", "-v"], Action::Version(true)),
            (&["-vV"], Action::Version(true)),
            (&["-c", "x", "-D"], Action::DryRun),
            (&["-c", "x", "--dry-run"], Action::DryRun),
            (&["-c", "x"], Action::Run),
        ];
        for (line, action) in table {
            assert_eq!(parse(line).unwrap().action, action, "{line:?}");
        }
    }

    #[test]
    fn mistakes() {
        let table = [
            (&[][..], "nothing to run"),
            (&["-D"], "nothing to run"),
            (&["--confg", "x"], "unknown option '--confg'. Did you mean '--config'?"),
            (&["-k"], "unknown option '-k' (-h lists them)"),
            (&["-i"], "-i/--input needs a value: NAME"),
            (&["-p", "a=b"], "-p/--prop needs an input, a filter or an output (-i, -F, -o) before it"),
            (&["-i", "tail", "-p", "path"], "-p takes KEY=VALUE, got 'path'"),
            (&["-i", "tail", "-p", "path="], "-p takes KEY=VALUE, got 'path='"),
            (&["-i", "tail", "-m", "*"], "-m/--match needs a filter or an output (-F, -o) before it"),
            (&["-o", "null", "-t", "x"], "-t/--tag needs an input (-i) before it"),
            (&["-o", "null", "-m", "Cargo.toml", "src"], "unexpected argument 'src' (quote the star: -m '*')"),
            (&["x.conf"], "unexpected argument 'x.conf' (-h lists the options)"),
            (&["--docs=x"], "unexpected argument for option '--docs': \"x\""),
        ];
        for (line, want) in table {
            let said = parse(line).unwrap_err();
            assert!(said.starts_with(want), "{line:?}: {said}");
        }
    }

    #[test]
    fn what_cannot_be_honoured_is_said() {
        for flag in FLAGS.iter().filter(|f| !f.served) {
            let mut line = vec![format!("--{}", flag.long)];
            line.extend(flag.value.map(str::to_owned));
            let said = Args::parse(line.iter().map(OsString::from)).unwrap_err();
            assert!(said.contains(flag.long) && said.contains(flag.doc), "{said}");
        }
    }

    #[test]
    fn every_flag_is_taken() {
        for flag in FLAGS.iter().filter(|f| f.served) {
            let mut line: Vec<OsString> = ["-i", "dummy", "-o", "null"].iter().map(OsString::from).collect();
            line.push(format!("--{}", flag.long).into());
            line.extend(flag.value.map(|v| OsString::from(if v.contains('=') { v } else { "1" })));
            let args = Args::parse(line);
            assert!(args.is_ok(), "{}: {args:?}", flag.long);
            let is_help = matches!(args.map(|a| a.action), Ok(Action::PluginHelp(..)));
            assert_eq!(is_help, flag.long == "help", "{}", flag.long);
        }
    }
}

//! From the arguments to an exit code: load, check, then print, test or run.

use super::args::{Action, Args};
use super::{TEST_OK, catalog, daemon, help};
use crate::conf::common::LogLevel;
use crate::conf::{Document, Env, FromConf, Kind, load};
use crate::engine::{self, Plan, Setting};
use crate::error::Diags;
use crate::log::{self as logger, Setup};
use crate::parse::ParserSet;
use std::ffi::OsString;
use std::io::Write;

/// The exit code of a refused command line or configuration.
const REFUSED: u8 = 1;

/// Does what the arguments (without the program's name) ask for; answers the exit code.
pub fn run(args: impl IntoIterator<Item = OsString>) -> u8 {
    let mut args = match Args::parse(args).and_then(|mut a| a.enter_workdir().map(|()| a)) {
        Ok(a) => a,
        Err(e) => return refuse(&e),
    };
    let catalog = catalog();
    if let Some(text) = help::text(&args.action, &catalog) {
        return match text {
            Ok(text) => print(&text),
            Err(e) => refuse(&e),
        };
    }
    // What goes wrong before the level is known is said all the same.
    let _ = logger::init(Setup::level(log::LevelFilter::Warn));
    if args.action == Action::Setup {
        return load_into_servers(&args.setup);
    }
    let mut diags = Diags::new();
    let sections = std::mem::take(&mut args.sections);
    let loaded = load::load(args.config.as_deref(), sections, &catalog, Env::of_process(), &mut diags);
    let Some(loaded) = loaded else { return report(&diags) };
    let parsers = ParserSet::new(loaded.parsers, &mut diags);
    let plan = match args.replay.as_deref().map(Plan::new).transpose() {
        Ok(plan) => plan,
        Err(e) => return refuse(&e),
    };
    let setting = Setting {
        service: &loaded.service,
        storage: &loaded.storage,
        parsers: &parsers,
        dir: &loaded.dir,
        replay: plan.as_ref(),
    };
    let engine = engine::build(&loaded.doc, &setting, &mut diags);
    let Some(engine) = engine.filter(|_| !diags.has_errors()) else { return report(&diags) };
    if args.action == Action::DryRun {
        let _ = diags.report(&mut std::io::stderr().lock());
        return print(&format!("{TEST_OK}\n"));
    }
    if loaded.service.daemon && !daemon::is_child() {
        return daemon::detach().map_or_else(|e| refuse(&e), |()| 0);
    }
    let service = &loaded.service;
    let setup = Setup {
        level: service.log_level.into(),
        file: service.log_file.as_ref().map(Into::into),
        instances: instance_levels(&loaded.doc),
    };
    if let Err(e) = logger::init(setup) {
        return refuse(&e.to_string());
    }
    log::info!("[collector] version={}, pid={}", env!("CARGO_PKG_VERSION"), std::process::id());
    diags.log();
    engine.run().unwrap_or_else(|e| {
        log::error!("[engine] cannot start: {e}");
        REFUSED
    })
}

#[cfg(feature = "es")]
fn load_into_servers(setup: &super::args::Setup) -> u8 {
    match super::setup::run(setup) {
        Ok(said) => print(&said),
        Err(e) => refuse(&e),
    }
}

#[cfg(not(feature = "es"))]
fn load_into_servers(_: &super::args::Setup) -> u8 {
    refuse("--setup: this build has no HTTP client: build it with the feature es")
}

/// The `Log_Level` of single instances.
fn instance_levels(doc: &Document) -> Vec<(String, log::LevelFilter)> {
    let plugins = doc.sections.iter().filter(|s| Kind::of_section(&s.name).is_some());
    plugins.filter_map(|s| Some((s.label.clone(), LogLevel::from_conf(s.value("log_level")?).ok()?.into()))).collect()
}

fn print(text: &str) -> u8 {
    let mut out = std::io::stdout().lock();
    // A reader that has gone, such as `head`, is no failure.
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
    0
}

fn refuse(e: &str) -> u8 {
    let _ = writeln!(std::io::stderr(), "collector: {e}");
    REFUSED
}

/// Says everything that is wrong with the configuration; nothing was started.
fn report(diags: &Diags) -> u8 {
    let mut err = std::io::stderr().lock();
    let _ = diags.report(&mut err);
    let _ = writeln!(err, "[error] configuration file contains errors, aborting.");
    REFUSED
}

//! Writes down what the program is built from, and tells the linker to leave out of the release program what it does not need.
//! Each flag is tried on a program of one line first, which must link and start: a linker or a system library that does not know
//! it gets a larger program, not an error.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};

/// Relocations of pointers as bitmaps: an eightieth of their size. The system's loader must know them (glibc 2.36).
const PACKED_RELOCATIONS: &str = "-Wl,-z,pack-relative-relocs";
/// What the linker leaves out, and what it puts side by side.
const SCRIPTS: [&str; 2] = ["no-unwind.ld", "startup.ld"];

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=link");
    println!("cargo::rustc-env=COLLECTOR_TARGET={}", env::var("TARGET").unwrap_or_default());
    println!("cargo::rustc-env=COLLECTOR_FEATURES={}", features());
    println!("cargo::rustc-env=COLLECTOR_COMMIT={}", commit().unwrap_or_else(|| "unknown".to_owned()));
    let Some(probe) = Probe::new() else { return };
    let scripts = SCRIPTS.map(|name| format!("-Wl,-T,{}", probe.root.join("link").join(name).display()));
    for flag in [PACKED_RELOCATIONS.to_owned()].into_iter().chain(scripts) {
        if probe.starts_with(&flag) {
            println!("cargo::rustc-link-arg-bins={flag}");
        }
    }
}

/// The features of this build, sorted.
fn features() -> String {
    let on = env::vars().filter_map(|(name, _)| Some(name.strip_prefix("CARGO_FEATURE_")?.to_owned()));
    let mut names: Vec<_> = on.map(|name| name.to_lowercase().replace('_', "-")).filter(|n| n != "default").collect();
    names.sort();
    names.join(" ")
}

/// The commit that the sources are of: what `COLLECTOR_COMMIT` says, for builds without git, else what git says, with `+`
/// when files were changed since. Debug builds do not ask: each commit would build everything again.
fn commit() -> Option<String> {
    println!("cargo::rerun-if-env-changed=COLLECTOR_COMMIT");
    if let Some(given) = env::var("COLLECTOR_COMMIT").ok().filter(|text| !text.trim().is_empty()) {
        return Some(given.trim().to_owned());
    }
    let root = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR")?);
    // Unpacked below somebody else's repository, the sources are not of its commits.
    if env::var("PROFILE").ok()? != "release" || !root.join(".git").exists() {
        return None;
    }
    let git = |args: &[&str]| {
        let done = Command::new("git").arg("-C").arg(&root).args(args).stderr(Stdio::null()).output().ok()?;
        done.status.success().then(|| String::from_utf8_lossy(&done.stdout).trim().to_owned())
    };
    let head = git(&["rev-parse", "--short=12", "HEAD"])?;
    let log = root.join(git(&["rev-parse", "--git-path", "logs/HEAD"])?);
    let watched = [log, root.join("src"), root.join("Cargo.toml"), root.join("Cargo.lock")];
    for path in watched.iter().filter(|p| p.exists()) {
        println!("cargo::rerun-if-changed={}", path.display());
    }
    let changed = git(&["status", "--porcelain", "--", "src", "build.rs", "link", "Cargo.toml", "Cargo.lock"])?;
    Some(if changed.is_empty() { head } else { head + "+" })
}

/// How the program will be linked.
struct Probe {
    root: PathBuf,
    out: PathBuf,
    source: PathBuf,
    target: String,
}

impl Probe {
    /// `None` where there is nothing to leave out: debug builds, those for another machine (they could not be started),
    /// other systems than glibc's, and those with debug information, whose traces are wanted.
    fn new() -> Option<Self> {
        let var = |name| env::var(name).ok();
        let is_wanted = var("PROFILE")? == "release" && var("DEBUG")? == "false";
        let is_native = var("HOST")? == var("TARGET")? && var("CARGO_CFG_TARGET_ENV")? == "gnu";
        if !is_wanted || !is_native || var("CARGO_CFG_TARGET_OS")? != "linux" {
            return None;
        }
        let out = PathBuf::from(var("OUT_DIR")?);
        let source = out.join("probe.rs");
        fs::write(&source, "fn main() { println!(\"{:?}\", std::env::args()); }\n").ok()?;
        Some(Self { root: PathBuf::from(var("CARGO_MANIFEST_DIR")?), out, source, target: var("TARGET")? })
    }

    /// Whether a program that is linked with this flag starts.
    fn starts_with(&self, flag: &str) -> bool {
        let program = self.out.join("probe");
        let _ = fs::remove_file(&program);
        let mut rustc = Command::new(env::var_os("RUSTC").unwrap_or_else(|| "rustc".into()));
        rustc.args(["--edition=2024", "--crate-name=probe", "-Cpanic=abort", "--target", &self.target, "-o"]);
        rustc.arg(&program).arg(&self.source);
        if let Some(linker) = env::var_os("RUSTC_LINKER") {
            let mut flag = OsString::from("-Clinker=");
            flag.push(linker);
            rustc.arg(flag);
        }
        let more = env::var("CARGO_ENCODED_RUSTFLAGS").unwrap_or_default();
        rustc.args(more.split('\x1f').filter(|flag| !flag.is_empty()));
        rustc.arg(format!("-Clink-arg={flag}"));
        runs(&mut rustc) && runs(&mut Command::new(&program))
    }
}

fn runs(command: &mut Command) -> bool {
    let quiet = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    quiet.status().is_ok_and(|status| status.success())
}

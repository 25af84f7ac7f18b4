//! Tells the linker to leave out of the release program what it does not need. Each flag is tried on a program of one line
//! first, which must link and start: a linker or a system library that does not know it gets a larger program, not an error.

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
    let Some(probe) = Probe::new() else { return };
    let scripts = SCRIPTS.map(|name| format!("-Wl,-T,{}", probe.root.join("link").join(name).display()));
    for flag in [PACKED_RELOCATIONS.to_owned()].into_iter().chain(scripts) {
        if probe.starts_with(&flag) {
            println!("cargo::rustc-link-arg-bins={flag}");
        }
    }
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

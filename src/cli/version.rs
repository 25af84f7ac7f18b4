//! `--version`: what this program is, and what it was built from.

use super::help::COMPATIBLE;

/// The cargo features of this build, each behind a space but the first.
pub const FEATURES: &str = env!("COLLECTOR_FEATURES");

/// The triple of the machines that it was built for.
const TARGET: &str = env!("COLLECTOR_TARGET");
/// The commit of the sources, with `+` where they were changed since; `unknown` for debug builds and without git.
const COMMIT: &str = env!("COLLECTOR_COMMIT");

/// `-V`, with `details` also `-v`. Scripts look for the name of the program whose configurations are read.
pub fn text(details: bool) -> String {
    let mut out = format!("collector v{}\nFluent Bit v{COMPATIBLE} compatible\n", env!("CARGO_PKG_VERSION"));
    if details {
        let features = if FEATURES.is_empty() { "none" } else { FEATURES };
        out.push_str(&format!("Target: {TARGET}\nFeatures: {features}\nCommit: {COMMIT}\n"));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_names_both() {
        assert!(text(false).starts_with("collector v") && text(false).contains("Fluent Bit v5.1.1"));
        assert!(text(true).starts_with(&text(false)));
    }

    #[test]
    fn the_features_are_those_of_the_build() {
        let has = |name: &str| FEATURES.split(' ').any(|f| f == name);
        let built = [("tls", cfg!(feature = "tls")), ("es", cfg!(feature = "es")), ("pcap", cfg!(feature = "pcap"))];
        for (name, on) in built.into_iter().chain([("http-client", cfg!(feature = "http-client"))]) {
            assert_eq!(has(name), on, "{name}: {FEATURES}");
        }
        assert!(TARGET.starts_with(std::env::consts::ARCH), "{TARGET}");
    }
}

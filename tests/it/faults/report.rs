//! `docs/faults.md`: what each scenario found at full scale.

use super::Scenario;
use super::trial::{Again, Row};
use std::fmt::Write;
use std::fs;
use std::path::Path;

const HEAD: &str = "| Scenario | Seed | Written | Delivered | Lost | Arrived again | Stored twice | Out of order | Losses said | Peak RSS, MiB | Seconds | Bars |\n\
                    |---|---|---|---|---|---|---|---|---|---|---|---|\n";

/// One row of the table.
pub fn line(name: &str, seed: u64, row: &Row) -> String {
    let Row { written, delivered, again, twice, disorder, said, rss, time, .. } = row;
    if let Some(why) = &row.skipped {
        return format!("| `{name}` | {seed} | | | | | | | | | | not run: {why} |");
    }
    let disorder = disorder.map_or("not seen".into(), |n| n.to_string());
    let bars = match row.failed.len() {
        0 => "hold".to_owned(),
        _ => format!("**do not hold**: {}", row.failed.join("; ")),
    };
    format!(
        "| `{name}` | {seed} | {written} | {delivered} | {} | {again} | {twice} | {disorder} | {said} | {:.1} | {:.1} | {bars} |",
        written.saturating_sub(*delivered),
        *rss as f64 / f64::from(1 << 20),
        time.as_secs_f64()
    )
}

/// Writes the document.
pub fn write(rows: &[(&Scenario, Row)]) {
    let now = jiff::Timestamp::now().strftime("%Y-%m-%d %H:%M UTC");
    let cores = std::thread::available_parallelism().map_or(0, std::num::NonZero::get);
    let mut text = format!(
        "# Faults, and what arrives\n\n\
         Written by `make faults` on {now}, collector {}, {cores} processors, {}.\n\n\
         Each row is a run of the real program against a sink that records every document. *Lost* and *stored twice* must \
         be 0 unless the scenario says that a loss is certain. *Arrived again* counts further arrivals of a line, *stored \
         twice* lines that a server keying by `_id` holds more than once (without ids every arrival counts), *out of order* \
         first arrivals behind a later line of the same file: outputs that send several requests at a time may do that. \
         *Losses said* is what the program itself reported as lost, dropped or rejected.\n\n{HEAD}",
        env!("CARGO_PKG_VERSION"),
        if cfg!(debug_assertions) && std::env::var_os("COLLECTOR_BIN").is_none() {
            "a debug build"
        } else {
            "a release build"
        },
    );
    for (scenario, row) in rows {
        let _ = writeln!(text, "{}", line(scenario.name, scenario.seed, row));
    }
    text.push_str("\n## What each does\n\n");
    for (scenario, row) in rows {
        let _ = writeln!(text, "- `{}`: {}{}{}", scenario.name, scenario.does, rule(row), notes(row));
    }
    fs::write(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/faults.md"), text).unwrap();
}

fn rule(row: &Row) -> &'static str {
    match row.rule {
        Some(Again::Never) => " *No line may arrive again.*",
        Some(Again::Keyed) => " *Lines may arrive again under the same `_id`: none may be stored twice.*",
        None => "",
    }
}

fn notes(row: &Row) -> String {
    row.notes.iter().map(|n| format!(" {n}.")).collect()
}

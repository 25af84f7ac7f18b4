//! The fault lab: real processes, a sink that records every document, a checker of lost, duplicated and out of order.
//!
//! Each scenario has two forms from one code: scaled down it is an ordinary test; `make faults` runs all of them at full
//! scale, one after the other, and writes `docs/faults.md`.

mod answers;
mod check;
mod dns;
mod kills;
mod limits;
mod report;
mod rotation;
mod search;
mod sink;
mod soak;
mod storage;
mod trial;
mod writer;

use crate::lab::skip;
use trial::{Row, Trial};

/// A scenario.
struct Scenario {
    /// Its function.
    name: &'static str,
    /// What it does and what must hold, at full scale.
    does: &'static str,
    seed: u64,
    run: fn(&mut Trial),
}

impl Scenario {
    fn trial(&self, full: bool) -> Row {
        let mut trial = Trial::new(self.name, self.seed, full);
        (self.run)(&mut trial);
        if !trial.row.failed.is_empty() {
            eprintln!("{}", trial.lab.show());
        }
        trial.row
    }
}

/// The table of scenarios, and a test of each in its short form.
macro_rules! scenarios {
    ($( $family:ident :: $name:ident, $seed:literal, $does:literal; )*) => {
        const SCENARIOS: &[Scenario] = &[
            $( Scenario { name: stringify!($name), does: $does, seed: $seed, run: $family::$name } ),*
        ];

        mod short {
            $(
                #[test]
                fn $name() {
                    super::short(stringify!($name));
                }
            )*
        }
    };
}

scenarios! {
    rotation::rename_burst, 1,
        "200,000 lines, the file renamed after each 20,000 without pause; `Path` names the live file alone.";
    rotation::copytruncate_burst, 2,
        "The same with copy and truncation; nobody writes between the two.";
    rotation::copytruncate_race, 28,
        "200 times copied and truncated by somebody else while the writer writes: lines that are in a file in the end arrive; others are lost for certain unless they were read in time, and the log says so.";
    rotation::truncate, 3,
        "100 times: 1,000 lines, all delivered, then the file is cut to nothing while the program looks at it, and filled anew past its old size in one go every other time.";
    rotation::inode_reuse, 4,
        "1,000 times: a file is deleted and begun anew, which gives it the inode of the one before; restarts between.";
    rotation::symlink_swap, 5,
        "A symbolic link leads to one new file after the other, 200 times; the old one still gets lines, and every second one was renamed three times behind the link before.";
    kills::kills_with_memory_storage, 6,
        "500 times kill -9 at a random instant, while the file is written to and renamed; `DB` and `Generate_ID` on. After each kill no more lines come again than the database did not hold for delivered; it holds what arrived 300 ms before.";
    kills::kills_with_filesystem_storage, 19,
        "The same with `storage.type filesystem`, and a destination that answers 503 two times in five. After each kill no more lines come again than the database and the chunk files left open.";
    kills::equal_lines, 18,
        "50,000 lines that are all the same, 50 times kill -9: each is one document.";
    kills::database_damaged, 7,
        "60 restarts; before each the database is deleted, cut, has 20 bits flipped or zeros at its end, and lines are written; `Generate_ID On`.";
    answers::sink_down, 8,
        "The sink refuses connections for 60 s in the middle of 200,000 lines.";
    answers::sink_blocked, 29,
        "The sink takes requests and answers nothing for 60 s, while 1,200,000 lines are written and the file is renamed after each 100,000.";
    answers::statuses, 9,
        "Each request is answered 429, 500, 503, 408 or stored, at random; what is not stored is sent again, nothing else.";
    answers::broken_answers, 10,
        "Resets, half answers and silence, half of them after storing; `Generate_ID On` keeps documents single.";
    answers::huge_answers, 17,
        "Every fourth answer has 20 MB; memory stays below a limit of 1 MiB and 8 MiB.";
    answers::partial_bulks, 11,
        "Items of a bulk request are refused for now (429, 503) at random: they come again, and only they.";
    limits::stopped_for_a_while, 12,
        "SIGSTOP for 30 s while the file is written to and renamed.";
    limits::memory_limit, 13,
        "`Mem_Buf_Limit 1M` and a slow destination: memory beyond the idle figure stays below the limit and 8 MiB; order is kept.";
    limits::order, 30,
        "Files renamed one after the other before the destination of a `tcp` output comes up: each arrives in order.";
    limits::trickle, 14,
        "20,000 flushes of a line or two with the destination down: memory stays below a limit of 1 MiB and 8 MiB.";
    limits::end_with_the_sink_down, 15,
        "SIGTERM while nothing can be delivered: the log says how much is left, and a restart delivers it.";
    limits::clock_jumps, 16,
        "The clock jumps an hour back and forth while lines are delivered and retries wait.";
    dns::dns_dead, 20,
        "The name of the destination does not resolve while 10,000 chunks wait: less than one look-up per second; then it does.";
    storage::queued_chunks, 21,
        "10,000 chunks wait for a destination that ends every connection: less than one connection per second; then another one takes them.";
    storage::many_chunk_files, 22,
        "50,000 chunk files at the start, first with the destination down: less than 64 MiB and 256 descriptors.";
    storage::restarts_with_failures, 23,
        "100 restarts, every other one a kill, while the destination answers 503, 429, half or late: no chunk file is left.";
    storage::disk_full, 24,
        "60 times the disk of the chunks fills up, at another point each time, with the destination down, some with a kill.";
    storage::damaged_chunks, 25,
        "400 times a chunk file is cut, has a bit flipped or zeros at its end: all other lines arrive, the file is named.";
    search::search_engine, 26,
        "A real Elasticsearch 7.10.2: the node is killed twice in the middle of 200,000 lines, the program four times, once with the node; `Generate_ID On`.";
    answers::refused_documents, 27,
        "Every seventh document is refused for good (400), others for now, with four kills: the file of rejected records holds exactly the former, and `--replay-rejected` delivers them.";
    soak::long_run, 31,
        "50,000,000 lines through three filters, in 24 hours of as many lines; each with an outage of 5 s and a rotation. Memory of the last hour is within 5 % of the first hour's; descriptors are as many.";
}

/// A scenario in its short form.
fn short(name: &str) {
    let scenario = SCENARIOS.iter().find(|s| s.name == name).unwrap();
    let row = scenario.trial(false);
    println!("{}", report::line(scenario.name, scenario.seed, &row));
    if let Some(why) = &row.skipped {
        skip(&format!("{name}: {why}"));
    }
    assert!(row.failed.is_empty(), "{name}: {}\n{row:#?}", row.failed.join("; "));
}

/// All scenarios at full scale. `FAULTS=rename,kill` runs those whose name holds one of the words, and writes nothing.
#[test]
#[ignore = "takes many minutes: make faults"]
fn at_full_scale() {
    let wanted = std::env::var("FAULTS").unwrap_or_default();
    let is_wanted = |s: &&Scenario| wanted.is_empty() || wanted.split(',').any(|w| s.name.contains(w));
    let mut rows = Vec::new();
    for scenario in SCENARIOS.iter().filter(is_wanted) {
        let row = std::panic::catch_unwind(|| scenario.trial(true)).unwrap_or_else(|_| Row {
            failed: vec!["the scenario could not be run to its end".into()],
            ..Row::default()
        });
        println!("{}", report::line(scenario.name, scenario.seed, &row));
        rows.push((scenario, row));
    }
    if wanted.is_empty() {
        report::write(&rows);
    }
    let failed: Vec<&str> = rows.iter().filter(|(_, r)| !r.failed.is_empty()).map(|(s, _)| s.name).collect();
    assert!(failed.is_empty(), "bars that did not hold: {}", failed.join(", "));
}

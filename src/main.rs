//! The `collector` program.

use std::process::exit;

fn main() {
    // Not a return: worker threads that hang in a call must not hold the process.
    exit(collector::cli::run(std::env::args_os().skip(1)).into());
}

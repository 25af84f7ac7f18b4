//! `cargo fuzz run lumberjack fuzz/corpus/lumberjack fuzz/seeds/lumberjack`

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| collector::fuzz::lumberjack(data));

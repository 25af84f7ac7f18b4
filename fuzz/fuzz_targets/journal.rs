//! `cargo fuzz run journal fuzz/corpus/journal fuzz/seeds/journal`

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| collector::fuzz::journal(data));

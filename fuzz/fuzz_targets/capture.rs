//! `cargo fuzz run capture fuzz/corpus/capture fuzz/seeds/capture`

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| collector::fuzz::capture(data));

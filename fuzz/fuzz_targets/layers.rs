//! `cargo fuzz run layers fuzz/corpus/layers fuzz/seeds/layers`

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| collector::fuzz::layers(data));

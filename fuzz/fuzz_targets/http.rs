//! `cargo fuzz run http fuzz/corpus/http fuzz/seeds/http`

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| collector::fuzz::http(data));

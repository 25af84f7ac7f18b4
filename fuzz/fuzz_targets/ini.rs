//! `cargo fuzz run ini fuzz/corpus/ini fuzz/seeds/ini`

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| collector::fuzz::ini(data));

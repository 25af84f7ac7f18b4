//! `cargo fuzz run mqtt fuzz/corpus/mqtt fuzz/seeds/mqtt`

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| collector::fuzz::mqtt(data));

//! `cargo fuzz run regex fuzz/corpus/regex fuzz/seeds/regex`

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| collector::fuzz::regex(data));

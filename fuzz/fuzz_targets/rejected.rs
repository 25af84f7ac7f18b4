//! `cargo fuzz run rejected fuzz/corpus/rejected fuzz/seeds/rejected`

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| collector::fuzz::rejected(data));

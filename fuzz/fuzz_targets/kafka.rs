//! `cargo fuzz run kafka fuzz/corpus/kafka fuzz/seeds/kafka`

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| collector::fuzz::kafka(data));

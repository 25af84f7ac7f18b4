//! `cargo fuzz run chunk fuzz/corpus/chunk fuzz/seeds/chunk`

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| collector::fuzz::chunk(data));

//! `cargo fuzz run forward fuzz/corpus/forward fuzz/seeds/forward`

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| collector::fuzz::forward(data));

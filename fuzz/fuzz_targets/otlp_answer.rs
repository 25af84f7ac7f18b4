//! `cargo fuzz run otlp_answer fuzz/corpus/otlp_answer fuzz/seeds/otlp_answer`

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| collector::fuzz::otlp_answer(data));

//! `cargo fuzz run strptime fuzz/corpus/strptime fuzz/seeds/strptime`

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| collector::fuzz::strptime(data));

//! `cargo fuzz run dns fuzz/corpus/dns fuzz/seeds/dns`

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| collector::fuzz::dns(data));

//! `cargo fuzz run tls fuzz/corpus/tls fuzz/seeds/tls`

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| collector::fuzz::tls(data));

//! `cargo fuzz run syslog fuzz/corpus/syslog fuzz/seeds/syslog`

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| collector::fuzz::syslog(data));

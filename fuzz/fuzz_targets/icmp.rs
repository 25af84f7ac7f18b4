//! `cargo fuzz run icmp fuzz/corpus/icmp fuzz/seeds/icmp`

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| collector::fuzz::icmp(data));

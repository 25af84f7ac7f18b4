//! `cargo fuzz run dns_reply fuzz/corpus/dns_reply fuzz/seeds/dns_reply`

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| collector::fuzz::dns_reply(data));

//! `cargo fuzz run http_server fuzz/corpus/http_server fuzz/seeds/http_server`

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| collector::fuzz::http_server(data));

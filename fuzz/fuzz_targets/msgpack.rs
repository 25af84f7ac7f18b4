//! `cargo fuzz run msgpack fuzz/corpus/msgpack fuzz/seeds/msgpack`

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| collector::fuzz::msgpack(data));

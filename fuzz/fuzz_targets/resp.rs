//! `cargo fuzz run resp fuzz/corpus/resp fuzz/seeds/resp`

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| collector::fuzz::resp(data));

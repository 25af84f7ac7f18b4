//! `cargo fuzz run kube_api fuzz/corpus/kube_api fuzz/seeds/kube_api`

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| collector::fuzz::kube_api(data));

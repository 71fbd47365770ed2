#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| gpu_harness::fuzz::ssh_config(data));

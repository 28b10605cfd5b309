//! JSON lines: reading never panics, keeps to its limits and depends on nothing but the bytes.
#![no_main]

use libfuzzer_sys::fuzz_target;
use stella_fuzz::walk_twice;

fuzz_target!(|bytes: &[u8]| walk_twice("a.jsonl", bytes));

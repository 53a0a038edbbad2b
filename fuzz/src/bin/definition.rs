//! Any text is validated without a panic; what is valid runs without one, with a history that has no gaps.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let mut texts = fuzz::texts(data);
    let Some(definition) = texts.next() else { return };
    let found = asl::validate(definition);
    match asl::parse(definition) {
        Ok(machine) => {
            assert!(!found.has_errors());
            let seed = data.iter().fold(7u64, |seed, byte| seed.wrapping_mul(31).wrapping_add(u64::from(*byte)));
            fuzz::run(machine, texts.next().unwrap_or(r#"{"a":1,"items":[1,2,3],"s":"text"}"#), seed);
        }
        Err(errors) => assert!(errors.has_errors()),
    }
});

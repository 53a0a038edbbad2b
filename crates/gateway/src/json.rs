//! Looking at JSON text without parsing it.

use memchr::memchr2;

/// Whether arrays and objects nest deeper than `depth_max`. Text that is no JSON gets some answer; the parser refuses it.
pub(crate) fn is_deeper_than(text: &[u8], depth_max: usize) -> bool {
    // Every level takes two bytes, so small bodies need no look.
    if text.len() <= depth_max * 2 {
        return false;
    }
    let (mut depth, mut at) = (0usize, 0);
    while let Some(&byte) = text.get(at) {
        at += 1;
        match byte {
            b'{' | b'[' => {
                depth += 1;
                if depth > depth_max {
                    return true;
                }
            }
            b'}' | b']' => depth = depth.saturating_sub(1),
            b'"' => at = string_end(text, at),
            _ => {}
        }
    }
    false
}

/// Where the string that begins before `at` ends.
fn string_end(text: &[u8], mut at: usize) -> usize {
    while let Some(found) = text.get(at..).and_then(|rest| memchr2(b'"', b'\\', rest)) {
        at += found + 1;
        if text[at - 1] == b'"' {
            return at;
        }
        at += 1;
    }
    text.len()
}

/// Appends `text` as a JSON string.
pub(crate) fn push_string(out: &mut Vec<u8>, text: &str) {
    // Writing a str into a Vec cannot fail.
    let _ = serde_json::to_writer(out, text);
}

/// Appends a JSON string; bytes that are no UTF-8 become U+FFFD.
pub(crate) fn push_json_string(out: &mut Vec<u8>, text: &[u8]) {
    out.push(b'"');
    for chunk in text.utf8_chunks() {
        push_escaped(out, chunk.valid().as_bytes());
        if !chunk.invalid().is_empty() {
            out.extend_from_slice("\u{fffd}".as_bytes());
        }
    }
    out.push(b'"');
}

fn push_escaped(out: &mut Vec<u8>, text: &[u8]) {
    let mut from = 0;
    for (at, byte) in text.iter().enumerate() {
        if *byte >= 0x20 && *byte != b'"' && *byte != b'\\' {
            continue;
        }
        out.extend_from_slice(&text[from..at]);
        from = at + 1;
        match byte {
            b'"' => out.extend_from_slice(b"\\\""),
            b'\\' => out.extend_from_slice(b"\\\\"),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\t' => out.extend_from_slice(b"\\t"),
            0x08 => out.extend_from_slice(b"\\b"),
            0x0c => out.extend_from_slice(b"\\f"),
            other => out.extend_from_slice(format!("\\u{other:04x}").as_bytes()),
        }
    }
    out.extend_from_slice(&text[from..]);
}

/// The order in which a Java `HashMap` gives these keys, as indices into them: AWS's items of CSV rows come in it.
///
/// The map has 16 buckets, twice as many whenever it is three quarters full; a key's bucket is in the low bits of its
/// hash. Keys of one bucket stay in the order in which they came.
pub(crate) fn java_map_order<'a>(keys: impl Iterator<Item = &'a str>) -> Vec<usize> {
    let hashes: Vec<u32> = keys
        .map(|key| {
            let hash = key.encode_utf16().fold(0_u32, |h, unit| h.wrapping_mul(31).wrapping_add(u32::from(unit)));
            hash ^ (hash >> 16)
        })
        .collect();
    let mut buckets = 16_usize;
    while hashes.len() > buckets / 4 * 3 {
        buckets *= 2;
    }
    let mut order: Vec<usize> = (0..hashes.len()).collect();
    order.sort_by_key(|index| hashes[*index] as usize & (buckets - 1));
    order
}

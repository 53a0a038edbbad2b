use crate::Listed;

/// The item that `listObjectsV2` gives for an object; members and number format are AWS's.
pub fn object_item(object: &Listed) -> String {
    let text = |value: &str| serde_json::Value::from(value).to_string();
    format!(
        r#"{{"Etag":{},"Key":{},"LastModified":{},"Size":{},"StorageClass":{}}}"#,
        text(&object.etag),
        text(&object.key),
        double(object.modified.as_seconds_f64()),
        object.size,
        text(&object.storage_class),
    )
}

/// A number as Java writes a double: AWS's items have `1.790204286E9` for a date.
fn double(value: f64) -> String {
    if value == 0.0 || (1e-3..1e7).contains(&value.abs()) {
        return format!("{value:?}");
    }
    let text = format!("{value:E}");
    match text.split_once('E') {
        Some((digits, exponent)) if !digits.contains('.') => format!("{digits}.0E{exponent}"),
        _ => text,
    }
}

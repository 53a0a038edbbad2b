use base::Timestamp;
use parquet::basic::{LogicalType, TimeUnit};
use parquet::data_type::Decimal;
use parquet::record::{Field, Row};
use parquet::schema::types::Type;

use crate::text::push_json_string;

/// Digits that a JSON number carries without loss everywhere; a decimal column with more becomes strings.
const DECIMAL_DIGITS_MAX: i32 = 15;
const MILLIS_PER_DAY: i64 = 86_400_000;

/// What the columns of a file are, where the crate's rows do not say.
pub(super) struct Columns {
    /// For each column whether its numbers are nanoseconds since 1970.
    nanoseconds: Vec<bool>,
}

impl Columns {
    pub(super) fn new(schema: &Type) -> Columns {
        let nanoseconds = |field: &Type| {
            let logical = field.get_basic_info().logical_type_ref();
            matches!(logical, Some(LogicalType::Timestamp(stamp)) if stamp.unit == TimeUnit::NANOS)
        };
        Columns { nanoseconds: schema.get_fields().iter().map(|field| nanoseconds(field)).collect() }
    }

    /// A row as an object, its columns in the order of the file.
    pub(super) fn item(&self, row: &Row) -> String {
        let mut out = Vec::new();
        out.push(b'{');
        for (index, (name, field)) in row.get_column_iter().enumerate() {
            if index > 0 {
                out.push(b',');
            }
            push_json_string(&mut out, name.as_bytes());
            out.push(b':');
            match field {
                Field::Long(nanos) if self.nanoseconds.get(index) == Some(&true) => {
                    timestamp(&mut out, nanos.div_euclid(1_000_000), nanos.rem_euclid(1_000_000), 6);
                }
                _ => value(&mut out, field),
            }
        }
        out.push(b'}');
        // Only strings that went through `push_json_string` and ASCII were written.
        String::from_utf8_lossy(&out).into_owned()
    }
}

/// A value as JSON: dates, times and timestamps as ISO 8601 in UTC, bytes in base64, decimals as numbers as long as
/// every reader of JSON keeps their digits.
fn value(out: &mut Vec<u8>, field: &Field) {
    match field {
        Field::Null => out.extend_from_slice(b"null"),
        Field::Bool(value) => plain(out, value),
        Field::Byte(value) => plain(out, value),
        Field::Short(value) => plain(out, value),
        Field::Int(value) => plain(out, value),
        Field::Long(value) => plain(out, value),
        Field::UByte(value) => plain(out, value),
        Field::UShort(value) => plain(out, value),
        Field::UInt(value) => plain(out, value),
        Field::ULong(value) => plain(out, value),
        Field::Float16(value) => double(out, &serde_json::Value::from(value.to_f32()), value.to_f64()),
        Field::Float(value) => double(out, &serde_json::json!(*value), f64::from(*value)),
        Field::Double(value) => double(out, &serde_json::json!(*value), *value),
        Field::Decimal(value) => decimal(out, value),
        Field::Str(value) => push_json_string(out, value.as_bytes()),
        Field::Bytes(value) => base64(out, value.data()),
        Field::Date(days) => {
            let text = Timestamp::from_millis(i64::from(*days) * MILLIS_PER_DAY).to_rfc3339();
            push_json_string(out, text.split('T').next().unwrap_or("").as_bytes());
        }
        Field::TimeMillis(millis) => time(out, i64::from(*millis), 0, 0),
        Field::TimeMicros(micros) => time(out, micros.div_euclid(1_000), micros.rem_euclid(1_000), 3),
        Field::TimestampMillis(millis) => timestamp(out, *millis, 0, 0),
        Field::TimestampMicros(micros) => timestamp(out, micros.div_euclid(1_000), micros.rem_euclid(1_000), 3),
        Field::Group(row) => {
            let columns = row.get_column_iter();
            object(
                out,
                columns,
                |out, (name, _)| push_json_string(out, name.as_bytes()),
                |out, (_, field)| value(out, field),
            );
        }
        Field::ListInternal(list) => {
            out.push(b'[');
            for (index, element) in list.elements().iter().enumerate() {
                if index > 0 {
                    out.push(b',');
                }
                value(out, element);
            }
            out.push(b']');
        }
        Field::MapInternal(map) => {
            object(out, map.entries().iter(), |out, (key, _)| map_key(out, key), |out, (_, field)| value(out, field))
        }
    }
}

fn object<T: Copy>(
    out: &mut Vec<u8>,
    members: impl Iterator<Item = T>,
    key: impl Fn(&mut Vec<u8>, T),
    field: impl Fn(&mut Vec<u8>, T),
) {
    out.push(b'{');
    for (index, member) in members.enumerate() {
        if index > 0 {
            out.push(b',');
        }
        key(out, member);
        out.push(b':');
        field(out, member);
    }
    out.push(b'}');
}

/// A map's key as a member name: strings as they are, other values as the text they are written as.
fn map_key(out: &mut Vec<u8>, key: &Field) {
    let mut text = Vec::new();
    value(&mut text, key);
    match text.first() {
        Some(b'"') => out.extend_from_slice(&text),
        _ => push_json_string(out, &text),
    }
}

fn plain(out: &mut Vec<u8>, value: impl std::fmt::Display) {
    out.extend_from_slice(value.to_string().as_bytes());
}

/// JSON has no word for what is no finite number; it becomes a string, as Jackson writes it.
fn double(out: &mut Vec<u8>, finite: &serde_json::Value, value: f64) {
    if value.is_finite() {
        plain(out, finite);
    } else if value.is_nan() {
        push_json_string(out, b"NaN");
    } else {
        push_json_string(out, if value > 0.0 { b"Infinity" } else { b"-Infinity" });
    }
}

fn timestamp(out: &mut Vec<u8>, millis: i64, finer: i64, digits: usize) {
    let text = Timestamp::from_millis(millis).to_rfc3339();
    match text.strip_suffix('Z') {
        Some(stem) if finer != 0 => push_json_string(out, format!("{stem}{finer:0digits$}Z").as_bytes()),
        _ => push_json_string(out, text.as_bytes()),
    }
}

fn time(out: &mut Vec<u8>, millis: i64, finer: i64, digits: usize) {
    let (seconds, rest) = (millis.div_euclid(1_000), millis.rem_euclid(1_000));
    let mut text = format!("{:02}:{:02}:{:02}.{rest:03}", seconds / 3_600, seconds / 60 % 60, seconds % 60);
    if finer != 0 {
        text.push_str(&format!("{finer:0digits$}"));
    }
    push_json_string(out, text.as_bytes());
}

fn decimal(out: &mut Vec<u8>, decimal: &Decimal) {
    let text = decimal_text(decimal.data(), usize::try_from(decimal.scale()).unwrap_or(0));
    if decimal.precision() <= DECIMAL_DIGITS_MAX {
        out.extend_from_slice(text.as_bytes());
    } else {
        push_json_string(out, text.as_bytes());
    }
}

/// A big-endian two's complement number with the point `scale` digits from the right.
fn decimal_text(bytes: &[u8], scale: usize) -> String {
    let negative = bytes.first().is_some_and(|byte| byte & 0x80 != 0);
    let mut magnitude: Vec<u8> = bytes.iter().map(|byte| if negative { !byte } else { *byte }).collect();
    if negative {
        for byte in magnitude.iter_mut().rev() {
            let (sum, carry) = byte.overflowing_add(1);
            *byte = sum;
            if !carry {
                break;
            }
        }
    }
    // Digits from the right, by dividing by ten.
    let mut digits = Vec::new();
    while magnitude.iter().any(|byte| *byte != 0) {
        let mut rest = 0_u16;
        for byte in &mut magnitude {
            let part = rest * 256 + u16::from(*byte);
            *byte = (part / 10) as u8;
            rest = part % 10;
        }
        digits.push(b'0' + rest as u8);
    }
    while digits.len() <= scale {
        digits.push(b'0');
    }
    let mut text = String::with_capacity(digits.len() + 2);
    if negative {
        text.push('-');
    }
    for (place, digit) in digits.iter().enumerate().rev() {
        text.push(char::from(*digit));
        if place == scale && scale > 0 {
            text.push('.');
        }
    }
    text
}

fn base64(out: &mut Vec<u8>, bytes: &[u8]) {
    use base64::Engine;
    push_json_string(out, base64::engine::general_purpose::STANDARD.encode(bytes).as_bytes());
}

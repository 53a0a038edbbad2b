//! PostgreSQL's binary values.

use tokio_postgres::Column;
use tokio_postgres::types::{FromSql, Kind, Type};

use crate::field::Value;
use crate::outcome::ColumnType;
use service::Fault;

/// How deep arrays of arrays are read.
const ARRAY_DEPTH_MAX: usize = 6;
/// Days from 1970-01-01 to 2000-01-01, where PostgreSQL's time begins.
const EPOCH_DAYS: i64 = 10_957;
const MICROS_PER_DAY: i64 = 86_400_000_000;

/// A value as it came.
pub(crate) struct Raw<'a>(&'a [u8]);

impl<'a> FromSql<'a> for Raw<'a> {
    fn from_sql(_: &Type, raw: &'a [u8]) -> Result<Raw<'a>, Box<dyn std::error::Error + Sync + Send>> {
        Ok(Raw(raw))
    }

    fn accepts(_: &Type) -> bool {
        true
    }
}

/// The type of a result's column.
pub(crate) fn column_type(column: &Column) -> ColumnType {
    let mut kind = ColumnType::named(column.type_().name());
    let modifier = i64::from(column.type_modifier());
    match kind.name.as_str() {
        "numeric" if modifier >= 4 => {
            kind.precision = (modifier - 4) >> 16;
            kind.scale = (modifier - 4) & 0xffff;
        }
        "varchar" | "bpchar" if modifier >= 4 => kind.precision = modifier - 4,
        _ => {}
    }
    kind
}

/// Reads a value of that type; types that the Data API does not know are refused.
pub(crate) fn read(raw: Option<Raw<'_>>, kind: &Type) -> Result<Value, Fault> {
    match raw {
        None => Ok(Value::Null),
        Some(Raw(bytes)) => decode(bytes, kind, 0).ok_or_else(|| unsupported(kind)),
    }
}

fn unsupported(kind: &Type) -> Fault {
    let message = format!("The result contains the unsupported data type {}.", kind.name().to_uppercase());
    Fault::client("UnsupportedResultException", message)
}

fn decode(bytes: &[u8], kind: &Type, depth: usize) -> Option<Value> {
    if let Kind::Array(element) = kind.kind() {
        return array(bytes, element, depth);
    }
    if let Kind::Domain(base) = kind.kind() {
        return decode(bytes, base, depth);
    }
    let text = || std::str::from_utf8(bytes).ok().map(|t| Value::Text(t.to_owned()));
    match *kind {
        Type::BOOL => Some(Value::Boolean(*bytes.first()? != 0)),
        Type::INT2 => Some(Value::Long(i64::from(i16::from_be_bytes(bytes.try_into().ok()?)))),
        Type::INT4 => Some(Value::Long(i64::from(i32::from_be_bytes(bytes.try_into().ok()?)))),
        Type::INT8 => Some(Value::Long(i64::from_be_bytes(bytes.try_into().ok()?))),
        Type::OID => Some(Value::Long(i64::from(u32::from_be_bytes(bytes.try_into().ok()?)))),
        Type::FLOAT4 => Some(Value::Double(f64::from(f32::from_be_bytes(bytes.try_into().ok()?)))),
        Type::FLOAT8 => Some(Value::Double(f64::from_be_bytes(bytes.try_into().ok()?))),
        Type::NUMERIC => numeric(bytes).map(Value::Text),
        Type::BYTEA => Some(Value::Blob(bytes.to_vec())),
        Type::TEXT | Type::VARCHAR | Type::BPCHAR | Type::NAME | Type::JSON | Type::UNKNOWN | Type::XML => text(),
        Type::CHAR => Some(Value::Text(char::from(*bytes.first()?).to_string())),
        Type::JSONB => std::str::from_utf8(bytes.strip_prefix(&[1])?).ok().map(|t| Value::Text(t.to_owned())),
        Type::UUID => uuid(bytes).map(Value::Text),
        Type::DATE => Some(Value::Text(date(i64::from(i32::from_be_bytes(bytes.try_into().ok()?)))?)),
        Type::TIME => Some(Value::Text(time(i64::from_be_bytes(bytes.try_into().ok()?)))),
        // The Data API shows both kinds of timestamps in UTC, without a zone.
        Type::TIMESTAMP | Type::TIMESTAMPTZ => timestamp(i64::from_be_bytes(bytes.try_into().ok()?)).map(Value::Text),
        Type::VOID => Some(Value::Text(String::new())),
        _ if matches!(kind.kind(), Kind::Enum(_)) || kind.name() == "citext" => text(),
        _ => None,
    }
}

/// `n dimensions | has nulls | element type | (length, lower bound)* | (length, element)*`.
fn array(bytes: &[u8], element: &Type, depth: usize) -> Option<Value> {
    let mut reader = Reader(bytes);
    let dimensions = usize::try_from(reader.int()?).ok()?;
    reader.int()?;
    reader.int()?;
    if dimensions + depth > ARRAY_DEPTH_MAX {
        return None;
    }
    let mut lengths = Vec::with_capacity(dimensions);
    for _ in 0..dimensions {
        lengths.push(usize::try_from(reader.int()?).ok()?);
        reader.int()?;
    }
    if lengths.is_empty() {
        return Some(Value::Array(Vec::new()));
    }
    elements(&mut reader, &lengths, element, depth + 1)
}

fn elements(reader: &mut Reader<'_>, lengths: &[usize], element: &Type, depth: usize) -> Option<Value> {
    let (length, inner) = lengths.split_first()?;
    let values = (0..*length).map(|_| {
        if !inner.is_empty() {
            return elements(reader, inner, element, depth);
        }
        match usize::try_from(reader.int()?) {
            Ok(size) => decode(reader.bytes(size)?, element, depth),
            Err(_) => Some(Value::Null),
        }
    });
    values.collect::<Option<Vec<_>>>().map(Value::Array)
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn bytes(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    fn int(&mut self) -> Option<i32> {
        Some(i32::from_be_bytes(self.bytes(4)?.try_into().ok()?))
    }

    fn short(&mut self) -> Option<i16> {
        Some(i16::from_be_bytes(self.bytes(2)?.try_into().ok()?))
    }
}

/// `n digits | weight | sign | scale | digits`, each digit of base 10,000.
fn numeric(bytes: &[u8]) -> Option<String> {
    let mut reader = Reader(bytes);
    let (count, weight, sign, scale) = (reader.short()?, reader.short()?, reader.short()?, reader.short()?);
    match sign as u16 {
        0x0000 | 0x4000 => {}
        0xc000 => return Some("NaN".to_owned()),
        0xd000 => return Some("Infinity".to_owned()),
        0xf000 => return Some("-Infinity".to_owned()),
        _ => return None,
    }
    let digits = (0..count).map(|_| reader.short()).collect::<Option<Vec<_>>>()?;
    let digit = |place: i32| {
        let at = i32::from(weight) - place;
        usize::try_from(at).ok().and_then(|at| digits.get(at)).copied().unwrap_or(0)
    };
    let mut out = String::new();
    if sign as u16 == 0x4000 {
        out.push('-');
    }
    let whole: String = (0..=i32::from(weight).max(0)).rev().map(|place| format!("{:04}", digit(place))).collect();
    let whole = whole.trim_start_matches('0');
    out.push_str(if whole.is_empty() { "0" } else { whole });
    if scale > 0 {
        let groups = (i32::from(scale) + 3) / 4;
        let fraction: String = (1..=groups).map(|place| format!("{:04}", digit(-place))).collect();
        out.push('.');
        out.push_str(fraction.get(..usize::try_from(scale).ok()?)?);
    }
    Some(out)
}

fn uuid(bytes: &[u8]) -> Option<String> {
    let hex: String = bytes.iter().map(|b| format!("{b:02x}")).collect();
    let part = |range: std::ops::Range<usize>| hex.get(range);
    Some([part(0..8)?, part(8..12)?, part(12..16)?, part(16..20)?, part(20..32)?].join("-"))
}

/// A day counted from 2000-01-01.
fn date(days: i64) -> Option<String> {
    let second = (days + EPOCH_DAYS).checked_mul(86_400_000)?;
    let text = base::Timestamp::from_millis(second).to_rfc3339();
    text.split_once('T').map(|(date, _)| date.to_owned())
}

fn time(micros: i64) -> String {
    let (seconds, fraction) = (micros.div_euclid(1_000_000), micros.rem_euclid(1_000_000));
    let mut out = format!("{:02}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60);
    if fraction > 0 {
        out.push_str(format!(".{fraction:06}").trim_end_matches('0'));
    }
    out
}

/// A moment in microseconds from 2000-01-01.
fn timestamp(micros: i64) -> Option<String> {
    match micros {
        i64::MAX => Some("infinity".to_owned()),
        i64::MIN => Some("-infinity".to_owned()),
        _ => {
            let day = date(micros.div_euclid(MICROS_PER_DAY))?;
            Some(format!("{day} {}", time(micros.rem_euclid(MICROS_PER_DAY))))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shorts(values: &[i32]) -> Vec<u8> {
        values.iter().flat_map(|v| (*v as u16).to_be_bytes()).collect()
    }

    #[test]
    fn numerics() {
        for (parts, shown) in [
            (&[0, 0, 0, 0][..], "0"),
            (&[1, 0, 0, 0, 5], "5"),
            (&[2, 1, 0, 0, 1, 2], "10002"),
            (&[1, 1, 0, 0, 3], "30000"),
            (&[2, 0, 0x4000, 2, 12, 3400], "-12.34"),
            (&[1, -1, 0, 4, 5], "0.0005"),
            (&[1, -2, 0, 6, 500], "0.000005"),
            (&[0, 0, 0xc000, 0], "NaN"),
        ] {
            assert_eq!(numeric(&shorts(parts)).as_deref(), Some(shown));
        }
        assert_eq!(numeric(&[0]), None);
    }

    #[test]
    fn times() {
        assert_eq!(date(0).as_deref(), Some("2000-01-01"));
        assert_eq!(date(-1).as_deref(), Some("1999-12-31"));
        assert_eq!(timestamp(1_500_000).as_deref(), Some("2000-01-01 00:00:01.5"));
        assert_eq!(timestamp(-1).as_deref(), Some("1999-12-31 23:59:59.999999"));
        assert_eq!(time(9 * 3_600_000_000), "09:00:00");
    }

    #[test]
    fn arrays() {
        let int = |n: i32| n.to_be_bytes();
        let flat = [int(1), int(1), int(23), int(2), int(1), int(4), int(7), int(-1)].concat();
        assert_eq!(decode(&flat, &Type::INT4_ARRAY, 0), Some(Value::Array(vec![Value::Long(7), Value::Null])));
        assert_eq!(decode(&[int(0), int(0), int(23)].concat(), &Type::INT4_ARRAY, 0), Some(Value::Array(vec![])));
        assert_eq!(decode(&int(9), &Type::INT4_ARRAY, 0), None);
    }
}

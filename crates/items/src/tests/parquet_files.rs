use std::sync::Arc;

use parquet::basic::Compression;
use parquet::data_type::{ByteArray, ByteArrayType, DoubleType, Int32Type, Int64Type};
use parquet::file::properties::WriterProperties;
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::parser::parse_message_type;

use super::{block_on, dataset, object, of, read, reader, rest};

const SCHEMA: &str = "message rows {
    required int64 id;
    optional binary name (UTF8);
    required int32 day (DATE);
    required int64 at (TIMESTAMP_MILLIS);
    required int64 precise (TIMESTAMP(NANOS,true));
    required int32 price (DECIMAL(9,2));
    required binary data;
    required double ratio;
}";

/// A file of some row groups with three rows each.
fn file(groups: i64, compression: Compression) -> Vec<u8> {
    let schema = Arc::new(parse_message_type(SCHEMA).unwrap());
    let properties = Arc::new(WriterProperties::builder().set_compression(compression).build());
    let mut out = Vec::new();
    let mut writer = SerializedFileWriter::new(&mut out, schema, properties).unwrap();
    for group in 0..groups {
        let mut columns = writer.next_row_group().unwrap();
        let ids = [group * 3, group * 3 + 1, group * 3 + 2];
        macro_rules! column {
            ($kind:ty, $values:expr, $levels:expr) => {{
                let mut column = columns.next_column().unwrap().unwrap();
                column.typed::<$kind>().write_batch($values, $levels, None).unwrap();
                column.close().unwrap();
            }};
        }
        column!(Int64Type, &ids, None);
        column!(ByteArrayType, &[ByteArray::from("a\"b"), ByteArray::from("ü")], Some(&[1, 0, 1]));
        column!(Int32Type, &[0, 1, 20_000], None);
        column!(Int64Type, &[0, 1, 1_700_000_000_123], None);
        column!(Int64Type, &[0, 1, 1_700_000_000_123_456_789], None);
        column!(Int32Type, &[1234, -5, 0], None);
        column!(ByteArrayType, &[ByteArray::from(vec![0_u8, 255]), ByteArray::from(""), ByteArray::from("x")], None);
        column!(DoubleType, &[1.5, f64::NAN, -0.25], None);
        columns.close().unwrap();
    }
    writer.close().unwrap();
    out
}

#[test]
fn rows_are_items() {
    for compression in [Compression::UNCOMPRESSED, Compression::SNAPPY, Compression::ZSTD(Default::default())] {
        let items = read(file(1, compression), &of("PARQUET")).unwrap();
        assert_eq!(
            items,
            [
                r#"{"id":0,"name":"a\"b","day":"1970-01-01","at":"1970-01-01T00:00:00.000Z","precise":"1970-01-01T00:00:00.000Z","price":12.34,"data":"AP8=","ratio":1.5}"#,
                r#"{"id":1,"name":null,"day":"1970-01-02","at":"1970-01-01T00:00:00.001Z","precise":"1970-01-01T00:00:00.000000001Z","price":-0.05,"data":"","ratio":"NaN"}"#,
                r#"{"id":2,"name":"ü","day":"2024-10-04","at":"2023-11-14T22:13:20.123Z","precise":"2023-11-14T22:13:20.123456789Z","price":0.00,"data":"eA==","ratio":-0.25}"#,
            ]
        );
    }
    assert!(read(file(0, Compression::UNCOMPRESSED), &of("PARQUET")).unwrap().is_empty());
}

#[test]
fn row_groups_and_positions() {
    let content = file(40, Compression::SNAPPY);
    block_on(async {
        let all = rest(reader(object(content.clone()), dataset(), &of("PARQUET")).unwrap()).await.unwrap();
        assert_eq!(all.len(), 120);
        for number in [0, 1, 3, 64, 119, 120] {
            let mut first = reader(object(content.clone()), dataset(), &of("PARQUET")).unwrap();
            first.skip(number).await.unwrap();
            let again = crate::Reader::resume(
                Arc::new(object(content.clone())),
                dataset(),
                crate::ReaderConfig::parse(&of("PARQUET"), None).unwrap(),
                crate::Limits::default(),
                &first.position(),
            );
            assert_eq!(rest(again.unwrap()).await.unwrap(), all[number as usize..]);
        }
        // Dropping a reader in the middle ends its thread.
        let mut dropped = reader(object(content), dataset(), &of("PARQUET")).unwrap();
        dropped.next().await.unwrap();
    });
}

#[test]
fn what_is_no_parquet_fails() {
    let content = file(3, Compression::UNCOMPRESSED);
    let damaged = |at: usize| {
        let mut copy = content.clone();
        copy[at] ^= 0x55;
        copy
    };
    for text in [Vec::new(), b"PAR1".to_vec(), b"[1]".to_vec(), content[..content.len() - 3].to_vec()] {
        assert_eq!(read(text, &of("PARQUET")).unwrap_err().name(), "States.ItemReaderFailed");
    }
    // Damage gives an error or other values, never a panic of the caller.
    for at in (0..content.len()).step_by(7) {
        let _ = read(damaged(at), &of("PARQUET"));
    }
}

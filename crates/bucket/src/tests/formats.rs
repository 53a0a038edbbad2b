//! Stored records: they come back, and the bytes of this release are read by every later one.

use std::collections::BTreeMap;

use base::Timestamp;
use proptest::prelude::*;
use store::BlobId;

use crate::bucket_record::{Bucket, Part, Upload, Versioning};
use crate::checksum::{Algorithm, Checksum, ChecksumKind};
use crate::record::*;

fn object() -> Object {
    let mut attributes = Attributes::default();
    attributes.set(Header::ContentType, Some("text/plain"));
    attributes.set(Header::StorageClass, Some("GLACIER"));
    attributes.metadata.insert("a".to_owned(), "1".to_owned());
    let body = Body {
        size: 300,
        etag: ETag { md5: [7; 16], parts: 2 },
        content: Content::Parts(BlobId([9; 16])),
        checksum: Some(Checksum {
            algorithm: Algorithm::Sha256,
            kind: ChecksumKind::Composite,
            value: vec![1, 2, 3],
            parts: 2,
        }),
        attributes,
        tags: BTreeMap::from([("t".to_owned(), "v".to_owned())]),
    };
    Object { seq: 5, nonce: Some([3; 16]), modified: Timestamp::from_millis(1_700_000_000_000), body: Some(body) }
}

#[test]
fn records_of_this_release() {
    let fixture = "010580a0abfef962010303030303030303030303030303030301ac02070707070707070707070707070707\
                   070203090909090909090909090909090909090402020301020302010a746578742f706c61696e0807474c41434945520101\
                   61013101017401 76"
        .replace(' ', "");
    let record = object().encode();
    assert_eq!(hex::encode(&record), fixture);
    assert_eq!(Object::decode(&record).unwrap(), object());
    let bucket = Bucket {
        account: "000000000000".to_owned(),
        region: "eu-west-1".to_owned(),
        created: Timestamp::from_millis(1000),
        versioning: Versioning::Enabled,
    };
    assert_eq!(hex::encode(bucket.encode()), "010c3030303030303030303030300965752d776573742d31d00f01");
    assert_eq!(Bucket::decode(&bucket.encode()).unwrap(), bucket);
    assert!(Object::decode(&[2, 0, 0]).is_err());
    for len in 0..record.len() {
        assert!(Object::decode(&record[..len]).is_err(), "{len}");
    }
}

fn content() -> impl Strategy<Value = Content> {
    prop_oneof![
        Just(Content::Empty),
        any::<[u8; 16]>().prop_map(|id| Content::Inline(BlobId(id))),
        any::<[u8; 16]>().prop_map(|id| Content::Blob(BlobId(id))),
    ]
}

proptest! {
    #[test]
    fn come_back(
        (seq, nonce, millis, size) in any::<(u64, Option<[u8; 16]>, i64, u64)>(),
        (md5, parts, number) in any::<([u8; 16], u32, u32)>(),
        content in content(),
        tags in proptest::collection::btree_map(".{0,10}", ".{0,10}", 0..4),
        value in proptest::option::of(proptest::collection::vec(any::<u8>(), 0..33)),
        garbage in proptest::collection::vec(any::<u8>(), 0..200),
    ) {
        let mut object = object();
        let checksum = value.map(|value| Checksum::full(Algorithm::Crc32, value));
        (object.seq, object.nonce, object.modified) = (seq, nonce, Timestamp::from_millis(millis));
        if let Some(body) = &mut object.body {
            body.size = size;
            body.etag = ETag { md5, parts };
            body.content = content;
            body.tags = tags.clone();
            body.checksum = checksum.clone();
        }
        prop_assert_eq!(Object::decode(&object.encode()).unwrap(), object.clone());
        let id = object.version_id();
        prop_assert_eq!(VersionId::parse(&id.to_string()), Some(id));
        let part = Part { size, md5, modified: Timestamp::from_millis(millis), content, checksum: checksum.clone() };
        prop_assert_eq!(Part::decode(&part.encode()).unwrap(), part);
        let upload = Upload {
            initiated: Timestamp::from_millis(millis),
            attributes: object.body.unwrap().attributes,
            tags,
            algorithm: Some(Algorithm::Sha1),
            kind: ChecksumKind::Composite,
        };
        prop_assert_eq!(Upload::decode(&upload.encode()).unwrap(), upload);
        let segments = vec![Segment { number, size, content, checksum }];
        prop_assert_eq!(decode_manifest(&encode_manifest(&segments)).unwrap(), segments);
        // Damage is an error, never a panic.
        let _ = (Object::decode(&garbage), Part::decode(&garbage), Upload::decode(&garbage), Bucket::decode(&garbage));
        let _ = (decode_manifest(&garbage), VersionId::parse(&hex::encode(&garbage)));
    }
}

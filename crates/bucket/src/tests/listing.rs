use std::collections::BTreeSet;

use proptest::prelude::*;

use super::harness::{Server, call};
use crate::list::{self, After, Query};

/// One page as it must be: keys and common prefixes, and behind what the next begins.
fn expected(keys: &BTreeSet<String>, prefix: &str, delimiter: Option<&str>) -> Vec<(String, bool)> {
    let mut all = Vec::new();
    for key in keys.iter().filter(|k| k.starts_with(prefix)) {
        let rolled = delimiter.and_then(|d| key[prefix.len()..].find(d).map(|at| prefix.len() + at + d.len()));
        let item = match rolled {
            Some(end) => (key[..end].to_owned(), true),
            None => (key.clone(), false),
        };
        if all.last() != Some(&item) {
            all.push(item);
        }
    }
    all
}

fn key() -> impl Strategy<Value = String> {
    proptest::collection::vec(prop_oneof![Just('a'), Just('b'), Just('/'), Just('\0'), Just('é'), Just('z')], 1..7)
        .prop_map(|chars| chars.into_iter().collect())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn pages_are_the_whole(
        keys in proptest::collection::btree_set(key(), 0..60),
        deleted in proptest::collection::btree_set(key(), 0..10),
        prefix in prop_oneof![Just(String::new()), key()],
        delimiter in prop_oneof![Just(None), Just(Some("/".to_owned())), Just(Some("a/".to_owned())), Just(Some("\0".to_owned()))],
        max in 1usize..8,
        start in prop_oneof![Just(String::new()), key()],
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let server = Server::with_bucket("data").await;
            server.buckets.put_versioning(&call(), "data", Some("Enabled")).await.unwrap();
            for key in keys.union(&deleted) {
                server.buckets.write_object(&call(), "data", key, "x".into(), None).await.unwrap();
            }
            for key in &deleted {
                let deletion = server.buckets.deletion(key, None);
                server.buckets.delete_object(&call(), "data", deletion).await.unwrap();
            }
            let live: BTreeSet<String> = keys.difference(&deleted).cloned().collect();
            let all = expected(&live, &prefix, delimiter.as_deref());

            let (mut after, mut found) = (After::Nothing, Vec::new());
            loop {
                let query = Query { prefix: prefix.clone(), delimiter: delimiter.clone(), after, max };
                let page = list::objects(&*server.store, "data", &query).map_err(|e| format!("{e:?}")).unwrap();
                let mut items: Vec<(String, bool)> = page.entries.into_iter().map(|(key, _)| (key, false)).collect();
                items.extend(page.prefixes.into_iter().map(|prefix| (prefix, true)));
                items.sort();
                assert!(items.len() <= max && (page.next.is_none() || items.len() == max));
                found.extend(items);
                match page.next {
                    Some(next) => after = After::of_token(&next.token()).unwrap(),
                    None => break,
                }
            }
            assert_eq!(found, all);

            // Begun behind a key: what is left, and the common prefix that the key lies in.
            let after = After::marker(&start, &prefix, delimiter.as_deref());
            let query = Query { prefix: prefix.clone(), delimiter: delimiter.clone(), after, max: 1000 };
            let page = list::objects(&*server.store, "data", &query).map_err(|e| format!("{e:?}")).unwrap();
            let mut items: Vec<(String, bool)> = page.entries.into_iter().map(|(key, _)| (key, false)).collect();
            items.extend(page.prefixes.into_iter().map(|prefix| (prefix, true)));
            items.sort();
            let behind: BTreeSet<String> = live.iter().filter(|k| **k > start).cloned().collect();
            let mut wanted = expected(&behind, &prefix, delimiter.as_deref());
            wanted.retain(|(item, is_prefix)| !(*is_prefix && *item == start));
            assert_eq!(items, wanted);

            // All versions, page by page.
            let (mut versions, mut query, mut last) = (Vec::new(), Query { max, ..Query::default() }, None);
            loop {
                let after = last.as_ref().map(|(key, version): &(String, crate::record::VersionId)| (key.as_str(), *version));
                let page = list::versions(&*server.store, "data", &query, after).map_err(|e| format!("{e:?}")).unwrap();
                last = page.entries.last().map(|v| (v.key.clone(), v.object.version_id()));
                versions.extend(page.entries.into_iter().map(|v| (v.key, v.is_latest, v.object.body.is_none())));
                match page.next {
                    Some(next) => query.after = next,
                    None => break,
                }
            }
            let wanted: Vec<(String, bool, bool)> = keys
                .union(&deleted)
                .flat_map(|key| match deleted.contains(key) {
                    true => vec![(key.clone(), true, true), (key.clone(), false, false)],
                    false => vec![(key.clone(), true, false)],
                })
                .collect();
            assert_eq!(versions, wanted);
        });
    }
}

#[tokio::test]
async fn as_xml() {
    let server = Server::with_bucket("data").await;
    for key in ["a/1", "a/2", "b", "c/1", "d"] {
        server.put(&format!("/data/{key}"), "x").await.ok();
    }
    let all = server.get("/data?list-type=2").await.ok();
    assert!(all.text().contains("<ListBucketResult xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">"));
    assert_eq!(all.elements("Key"), ["a/1", "a/2", "b", "c/1", "d"]);
    assert_eq!((all.element("KeyCount"), all.element("MaxKeys"), all.element("IsTruncated")), ("5", "1000", "false"));
    assert_eq!((all.element("Size"), all.element("StorageClass")), ("1", "STANDARD"));
    assert_eq!(all.element("LastModified"), "2026-01-14T09:30:00.000Z");
    assert_eq!(all.element("Owner"), "");
    assert!(server.get("/data?list-type=2&fetch-owner=true").await.text().contains("<Owner><ID>"));

    let first = server.get("/data?list-type=2&delimiter=/&max-keys=2").await.ok();
    assert_eq!((first.elements("Key"), first.element("KeyCount")), (vec!["b"], "2"));
    assert!(first.text().contains("<CommonPrefixes><Prefix>a/</Prefix></CommonPrefixes>"), "{}", first.text());
    let token = first.element("NextContinuationToken");
    let second = server.get(&format!("/data?list-type=2&delimiter=/&max-keys=2&continuation-token={token}")).await;
    assert_eq!((second.elements("Key"), second.element("IsTruncated")), (vec!["d"], "false"));
    assert!(second.text().contains("<Prefix>c/</Prefix>"));
    assert_eq!(server.get("/data?list-type=2&start-after=b").await.elements("Key"), ["c/1", "d"]);
    assert_eq!(server.get("/data?list-type=2&prefix=a/").await.elements("Key"), ["a/1", "a/2"]);
    let none = server.get("/data?list-type=2&max-keys=0").await.ok();
    assert_eq!((none.elements("Key").len(), none.element("IsTruncated")), (0, "false"));
    server.get("/data?list-type=2&continuation-token=nonsense").await.check(400, "InvalidArgument");
    server.get("/data?list-type=2&max-keys=-1").await.check(400, "InvalidArgument");
    server.get("/data?list-type=2&encoding-type=hex").await.check(400, "InvalidArgument");

    let old = server.get("/data?delimiter=/&max-keys=1").await.ok();
    assert_eq!((old.element("NextMarker"), old.element("IsTruncated")), ("a/", "true"));
    assert_eq!(server.get("/data?delimiter=/&max-keys=1&marker=a/").await.elements("Key"), ["b"]);
    let old = server.get("/data?max-keys=2").await.ok();
    assert_eq!((old.elements("Key"), old.element("NextMarker")), (vec!["a/1", "a/2"], ""));
    assert_eq!(server.get("/data?marker=a/2&max-keys=2").await.elements("Key"), ["b", "c/1"]);
}

#[tokio::test]
async fn a_thousand_and_more() {
    let server = Server::with_bucket("data").await;
    for i in 0..2100 {
        let key = format!("{:02}/{i:05}", i % 70);
        server.buckets.write_object(&call(), "data", &key, "x".into(), None).await.unwrap();
    }
    let (mut keys, mut token) = (0, String::new());
    for expected in [1000, 1000, 100] {
        let page = server.get(&format!("/data?list-type=2&max-keys=5000{token}")).await.ok();
        assert_eq!(page.elements("Key").len(), expected);
        keys += expected;
        token = format!("&continuation-token={}", page.element("NextContinuationToken"));
    }
    assert_eq!(keys, 2100);
    let rolled = server.get("/data?list-type=2&delimiter=/").await.ok();
    assert_eq!((rolled.elements("CommonPrefixes").len(), rolled.elements("Key").len()), (70, 0));
}

use super::*;

fn stored<T: Serialize>(version: u8, record: &T) -> Vec<u8> {
    postcard::to_extend(record, vec![version]).unwrap()
}

#[test]
fn records_of_the_first_version_are_read() {
    let machine = |updated_ms| {
        let old = MachineRecord1 {
            name: "m".into(),
            express: true,
            role_arn: "r".into(),
            revision_id: "u".into(),
            definition_id: 7,
            created_ms: 5,
            updated_ms,
            logging_json: Some("{}".into()),
            tracing: true,
            tags: vec![("k".into(), "v".into())],
        };
        MachineRecord::decode(&stored(1, &old)).unwrap()
    };
    let (fresh, updated) = (machine(5), machine(6));
    assert_eq!((fresh.revision.id, updated.revision.id.as_deref()), (None, Some("u")));
    assert_eq!((updated.revision.definition_id, updated.revision.tracing, updated.last_version), (7, true, 0));

    let old = HeadRecord1 {
        account: "a".into(),
        region: "r".into(),
        machine: "m".into(),
        name: "n".into(),
        express_id: None,
        definition_id: 7,
        revision_id: "u".into(),
        role_arn: "role".into(),
        start_ms: 9,
        input: "{}".into(),
    };
    let head = HeadRecord::decode(&stored(1, &old)).unwrap();
    assert_eq!((head.revision.definition_id, head.revision.role_arn.as_str(), head.input.as_str()), (7, "role", "{}"));
    assert_eq!(HeadRecord::decode(&head.encode()).unwrap(), head);

    let old = ActivityRecord1 { name: "a".into(), created_ms: 1, tags: vec![] };
    assert_eq!(ActivityRecord::decode(&stored(1, &old)).unwrap().name, "a");
}

#[test]
fn what_cannot_be_read_is_corrupt() {
    for bytes in [vec![], vec![9, 0], vec![2], vec![1, 0xff]] {
        assert!(matches!(HeadRecord::decode(&bytes), Err(Error::Corrupt(_))), "{bytes:?}");
    }
}

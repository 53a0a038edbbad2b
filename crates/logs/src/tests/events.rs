use proptest::prelude::*;
use serde_json::{Value, json};
use store::{Range, Store as _};

use super::{Fixture, messages};
use crate::input::EventPosition;
use crate::key;
use crate::read::{Backward, Forward};

#[tokio::test]
async fn events_are_got_from_both_ends() {
    let f = Fixture::new().await;
    f.stream("g", "s").await;
    let put = f.put("g", "s", &[(0, "0"), (10, "1"), (20, "2")]).await;
    assert!(put["nextSequenceToken"].is_string() && put.get("rejectedLogEventsInfo").is_none());
    f.put("g", "s", &[(5, "0.5"), (30, "3"), (40, "4")]).await;
    let f = f.restart().await;
    let get = |mut input: Value| {
        input["logGroupName"] = json!("g");
        input["logStreamName"] = json!("s");
        f.ok("GetLogEvents", input)
    };
    let all = get(json!({})).await;
    assert_eq!(messages(&all), ["0", "0.5", "1", "2", "3", "4"]);
    let event = json!({"timestamp": f.now() + 5, "message": "0.5", "ingestionTime": f.now()});
    assert_eq!(all["events"][1], event);

    // Forward to the end, where the token stays.
    let first = get(json!({"startFromHead": true, "limit": 4})).await;
    assert_eq!(messages(&first), ["0", "0.5", "1", "2"]);
    let second = get(json!({"nextToken": first["nextForwardToken"], "limit": 4})).await;
    assert_eq!(messages(&second), ["3", "4"]);
    let third = get(json!({"nextToken": second["nextForwardToken"]})).await;
    assert_eq!((messages(&third).len(), &third["nextForwardToken"]), (0, &second["nextForwardToken"]));
    f.put("g", "s", &[(50, "5")]).await;
    assert_eq!(messages(&get(json!({"nextToken": third["nextForwardToken"]})).await), ["5"]);

    // Backward to the beginning, likewise.
    let last = get(json!({"limit": 2})).await;
    assert_eq!(messages(&last), ["4", "5"]);
    let before = get(json!({"nextToken": last["nextBackwardToken"], "limit": 3})).await;
    assert_eq!(messages(&before), ["1", "2", "3"]);
    let rest = get(json!({"nextToken": before["nextBackwardToken"], "limit": 3})).await;
    assert_eq!(messages(&rest), ["0", "0.5"]);
    let end = get(json!({"nextToken": rest["nextBackwardToken"]})).await;
    assert_eq!((messages(&end).len(), &end["nextBackwardToken"]), (0, &rest["nextBackwardToken"]));
    assert_eq!(messages(&get(json!({"nextToken": end["nextForwardToken"], "limit": 2})).await), ["0", "0.5"]);

    // The start is in, the end is not.
    let window = json!({"startTime": f.now() + 5, "endTime": f.now() + 20});
    assert_eq!(messages(&get(window).await), ["0.5", "1"]);
    let token = last["nextForwardToken"].as_str().unwrap();
    assert!(token.starts_with("f/") && token.ends_with("/s") && token.len() == 60, "{token}");
}

#[tokio::test]
async fn an_empty_stream_can_be_followed() {
    let f = Fixture::new().await;
    f.stream("g", "s").await;
    for head in [true, false] {
        let input = json!({"logGroupName": "g", "logStreamName": "s", "startFromHead": head});
        let empty = f.ok("GetLogEvents", input.clone()).await;
        assert!(messages(&empty).is_empty());
        let again = json!({"logGroupName": "g", "logStreamName": "s", "nextToken": empty["nextForwardToken"]});
        f.put("g", "s", &[(0, "new")]).await;
        assert_eq!(messages(&f.ok("GetLogEvents", again).await).first().unwrap(), "new");
        f.ok("DeleteLogStream", json!({"logGroupName": "g", "logStreamName": "s"})).await;
        f.stream("g", "s").await;
    }
}

#[tokio::test]
async fn events_of_all_streams_interleave() {
    let f = Fixture::new().await;
    for stream in ["web-1", "web-2", "job"] {
        f.stream("g", stream).await;
    }
    for n in 0..40 {
        let stream = ["web-1", "web-2", "job"][n as usize % 3];
        let level = if n % 4 == 0 { "ERROR" } else { "INFO" };
        f.put("g", stream, &[(n * 10, &format!("{level} {n}"))]).await;
    }
    let filter = |mut input: Value| {
        input["logGroupName"] = json!("g");
        f.ok("FilterLogEvents", input)
    };
    let all = filter(json!({})).await;
    let expected: Vec<String> = (0..40).map(|n| format!("{} {n}", if n % 4 == 0 { "ERROR" } else { "INFO" })).collect();
    assert_eq!(messages(&all), expected);
    assert_eq!((&all["events"][2]["logStreamName"], &all["searchedLogStreams"]), (&json!("job"), &json!([])));
    assert_eq!(all["events"][2]["eventId"].as_str().unwrap().len(), 56);
    let errors = filter(json!({"filterPattern": "ERROR", "startTime": f.now() + 40, "endTime": f.now() + 120})).await;
    assert_eq!(messages(&errors), ["ERROR 4", "ERROR 8", "ERROR 12"]);
    let web = filter(json!({"filterPattern": "ERROR", "logStreamNamePrefix": "web-", "endTime": f.now() + 100})).await;
    assert_eq!(messages(&web), ["ERROR 0", "ERROR 4"]);
    let named = filter(json!({"logStreamNames": ["job", "web-2"], "limit": 3})).await;
    assert_eq!(messages(&named), ["INFO 1", "INFO 2", "ERROR 4"]);
    let mut input = json!({"filterPattern": "ERROR", "limit": 3});
    let mut seen = Vec::new();
    loop {
        let page = filter(input.clone()).await;
        seen.extend(messages(&page));
        match page.get("nextToken") {
            Some(token) => input["nextToken"] = token.clone(),
            None => break,
        }
    }
    assert_eq!(seen, (0..40).step_by(4).map(|n| format!("ERROR {n}")).collect::<Vec<_>>());
}

#[tokio::test]
async fn puts_and_reads_that_are_refused() {
    let f = Fixture::new().await;
    f.stream("g", "s").await;
    let now = f.now();
    let put = |events: Value| json!({"logGroupName": "g", "logStreamName": "s", "logEvents": events});
    let event = |at: i64, message: &str| json!({"timestamp": now + at, "message": message});
    let day = 24 * 3_600_000;
    for (events, message) in [
        (json!([]), "1 validation error detected: Value '[]' at 'logEvents' failed to satisfy constraint: Member must have length greater than or equal to 1".to_owned()),
        (json!([event(1, "a"), event(0, "b")]), "Log events in a single PutLogEvents request must be in chronological order.".to_owned()),
        (json!([event(-day - 1, "a"), event(0, "b")]), "The batch of log events in a single PutLogEvents request cannot span more than 24 hours.".to_owned()),
        (json!([event(0, &"x".repeat(1_048_551))]), "Log event too large: 1048577 bytes exceeds limit of 1048576".to_owned()),
        (json!([event(0, &"x".repeat(600_000)), event(0, &"x".repeat(600_000))]), "Upload too large: 1200052 bytes exceeds limit of 1048576".to_owned()),
    ] {
        let fault = f.fault("PutLogEvents", put(events)).await;
        assert_eq!((fault.code.as_str(), &fault.message), ("InvalidParameterException", &message));
    }
    f.ok("PutLogEvents", put(json!([event(0, &"x".repeat(1_048_550))]))).await;
    let missing = json!({"logGroupName": "g", "logStreamName": "none", "logEvents": [event(0, "a")]});
    assert_eq!(f.fault("PutLogEvents", missing).await.message, "The specified log stream does not exist.");
    for operation in ["GetLogEvents", "FilterLogEvents"] {
        let base = json!({"logGroupName": "g", "logStreamName": "s"});
        let with = |name: &str, value: Value| {
            let mut input = base.clone();
            input[name] = value;
            input
        };
        assert_eq!(
            f.fault(operation, with("nextToken", json!("nope"))).await.message,
            "The specified nextToken is invalid."
        );
        assert_eq!(
            f.fault(operation, with("limit", json!(10_001))).await.message,
            "1 validation error detected: Value '10001' at 'limit' failed to satisfy constraint: Member must have value \
             less than or equal to 10000"
        );
        assert_eq!(
            f.fault(operation, with("logGroupName", json!("none"))).await.message,
            "The specified log group does not exist."
        );
    }
    let both = json!({"logGroupName": "g", "logStreamNames": ["s"], "logStreamNamePrefix": "s"});
    assert_eq!(f.fault("FilterLogEvents", both).await.code, "InvalidParameterException");
    let pattern = json!({"logGroupName": "g", "filterPattern": "{ $.a"});
    assert_eq!(f.fault("FilterLogEvents", pattern).await.code, "InvalidParameterException");
}

#[tokio::test]
async fn events_of_the_wrong_time_are_left_out() {
    let f = Fixture::new().await;
    f.stream("g", "s").await;
    let hour = 3_600_000;
    let day = 24 * hour;
    let put = f.put("g", "s", &[(0, "now"), (hour, "soon"), (2 * hour + 1, "too new")]).await;
    assert_eq!(put["rejectedLogEventsInfo"], json!({"tooNewLogEventStartIndex": 2}));
    let put =
        f.put("g", "s", &[(-14 * day - 2, "old"), (-14 * day - 1, "old"), (-13 * day - 23 * hour, "in time")]).await;
    assert_eq!(put["rejectedLogEventsInfo"], json!({"tooOldLogEventEndIndex": 2}));
    f.ok("PutRetentionPolicy", json!({"logGroupName": "g", "retentionInDays": 7})).await;
    let put = f.put("g", "s", &[(-7 * day - 1, "expired"), (-7 * day, "just in time")]).await;
    assert_eq!(put["rejectedLogEventsInfo"], json!({"expiredLogEventEndIndex": 1}));
    let shown = f.ok("FilterLogEvents", json!({"logGroupName": "g"})).await;
    assert_eq!(messages(&shown), ["just in time", "now", "soon"], "what has expired is not shown");
    let got = f.ok("GetLogEvents", json!({"logGroupName": "g", "logStreamName": "s", "startFromHead": true})).await;
    assert_eq!(messages(&got).len(), 3);
}

#[tokio::test]
async fn expired_events_and_deleted_groups_leave_nothing() {
    let f = Fixture::new().await;
    let empty = f.store.len();
    f.stream("g", "s").await;
    f.ok("PutRetentionPolicy", json!({"logGroupName": "g", "retentionInDays": 1})).await;
    for n in 0..200 {
        f.put("g", "s", &[(n, "x")]).await;
    }
    let chunks = |f: &Fixture| {
        let group = key::chunks_of_group(0);
        let prefix = &group[..group.len() - 8];
        f.store.scan(&Range::prefix(prefix)).unwrap().len()
    };
    assert_eq!((chunks(&f), stored_bytes(&f).await), (200, Some(200)));
    f.clock.advance(std::time::Duration::from_secs(86_400 + 120));
    f.put("g", "s", &[(0, "fresh")]).await;
    for _ in 0..5_000 {
        tokio::task::yield_now().await;
    }
    assert_eq!((chunks(&f), stored_bytes(&f).await), (1, Some(5)));
    let described = f.ok("DescribeLogStreams", json!({"logGroupName": "g"})).await;
    assert_eq!(described["logStreams"][0]["firstEventTimestamp"], f.now());
    f.ok("DeleteLogGroup", json!({"logGroupName": "g"})).await;
    let f = f.restart().await;
    for _ in 0..5_000 {
        tokio::task::yield_now().await;
    }
    // The counter of the group's cell is all that is left.
    assert_eq!(f.store.len(), empty + 1);
}

async fn stored_bytes(f: &Fixture) -> Option<u64> {
    f.ok("DescribeLogGroups", json!({})).await["logGroups"][0]["storedBytes"].as_u64()
}

#[tokio::test]
async fn many_events_make_large_pages() {
    let f = Fixture::new().await;
    f.stream("g", "s").await;
    let line = "x".repeat(1000);
    for n in 0..4 {
        let events: Vec<(i64, &str)> = (0..1000).map(|m| (n * 1000 + m, line.as_str())).collect();
        f.put("g", "s", &events).await;
    }
    let mut input = json!({"logGroupName": "g"});
    let mut pages = Vec::new();
    loop {
        let page = f.ok("FilterLogEvents", input.clone()).await;
        pages.push(messages(&page).len());
        match page.get("nextToken") {
            Some(token) => input["nextToken"] = token.clone(),
            None => break,
        }
    }
    assert_eq!(pages.iter().sum::<usize>(), 4000);
    assert!(pages.len() >= 4, "a page is about a megabyte: {pages:?}");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever overlaps: readers give events in order of time and number, from both ends.
    #[test]
    fn readers_sort_overlapping_chunks(
        puts in prop::collection::vec(prop::collection::vec(0..200_000i64, 1..12), 1..20),
        from in 0..200_000i64,
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let f = runtime.block_on(Fixture::new());
        let mut expected = Vec::new();
        runtime.block_on(async {
            f.stream("g", "s").await;
            for (n, put) in puts.iter().enumerate() {
                let mut put = put.clone();
                put.sort_unstable();
                let events: Vec<(i64, String)> = put.iter().enumerate().map(|(m, at)| (*at, format!("{n}.{m}"))).collect();
                let borrowed: Vec<(i64, &str)> = events.iter().map(|(at, text)| (*at - 200_000, text.as_str())).collect();
                f.put("g", "s", &borrowed).await;
                expected.extend(events);
            }
        });
        expected.sort_by_key(|(at, _)| *at);
        let group = f.logs.group(&super::group("g")).unwrap().unwrap().serial;
        let stream = f.logs.stream(group, "s").unwrap().unwrap().serial;
        let at = EventPosition::before(base::Timestamp::from_millis(f.now() - 200_000 + from));
        let mut forward = Forward::new(&*f.store, group, stream, at);
        let mut backward = Backward::new(&*f.store, group, stream, at);
        let mut got = Vec::new();
        while let Some(event) = forward.next().unwrap() {
            got.push(event.message);
        }
        let want: Vec<_> = expected.iter().filter(|(at, _)| *at >= from).map(|(_, text)| text.clone()).collect();
        prop_assert_eq!(got, want);
        let mut got = Vec::new();
        while let Some(event) = backward.next().unwrap() {
            got.push(event.message);
        }
        got.reverse();
        let want: Vec<_> = expected.iter().filter(|(at, _)| *at < from).map(|(_, text)| text.clone()).collect();
        prop_assert_eq!(got, want);
    }
}

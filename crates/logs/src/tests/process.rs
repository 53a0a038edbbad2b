use base::{Clock as _, Timestamp};
use serde_json::json;

use super::{Fixture, group, messages};
use crate::Options;

#[tokio::test]
async fn lines_of_the_process_are_written_behind() {
    let f = Fixture::new().await;
    let at = |ms: i64| Timestamp::from_millis(f.now() + ms);
    // Neither the group nor the stream is there, and the times are in no order.
    f.logs.put(&group("/aws/lambda/f"), "a", vec![(at(5), "two".to_owned()), (at(0), "one".to_owned())]);
    f.logs.put(&group("/aws/lambda/f"), "b", vec![(at(3), "between".to_owned())]);
    f.logs.put(&group("/aws/lambda/f"), "a", vec![(at(-30 * 86_400_000), "long ago".to_owned())]);
    f.logs.flush().await;
    let found = f.ok("FilterLogEvents", json!({"logGroupName": "/aws/lambda/f"})).await;
    assert_eq!(messages(&found), ["long ago", "one", "between", "two"]);
    f.logs.flush().await;
}

#[tokio::test]
async fn what_does_not_fit_is_counted_and_said() {
    let f = Fixture::new().await;
    let options = Options { buffer_bytes_max: 1000, ..Options::default() };
    let f = Fixture::on(f.store.clone(), f.clock.clone(), options).await;
    let now = f.clock.now();
    let line = "x".repeat(74);
    f.logs.put(&group("g"), "s", (0..25).map(|_| (now, line.clone())).collect());
    f.logs.flush().await;
    let found = f.ok("FilterLogEvents", json!({"logGroupName": "g"})).await;
    let found = messages(&found);
    assert_eq!(found.len(), 11);
    assert!(found[10].starts_with("[stepwell] 15 log events were dropped"), "{}", found[10]);
    // There is room again.
    f.logs.put(&group("g"), "s", vec![(now, "after".to_owned())]);
    f.logs.flush().await;
    let found = f.ok("FilterLogEvents", json!({"logGroupName": "g", "filterPattern": "after"})).await;
    assert_eq!(messages(&found).len(), 1);
}

#[tokio::test]
async fn a_follower_sees_each_event_once() {
    let f = Fixture::new().await;
    let name = group("g");
    let now = f.clock.now();
    let put = |n: i64| f.logs.put(&name, "s", vec![(Timestamp::from_millis(now.as_millis() + n), n.to_string())]);
    // Before the group is there.
    let mut early = f.logs.tail(&name, now);
    let waiting = futures::poll!(Box::pin(early.next()));
    assert!(waiting.is_pending());
    for n in 0..50 {
        put(n);
        f.logs.flush().await;
    }
    let mut late = f.logs.tail(&name, Timestamp::from_millis(now.as_millis() + 10));
    for n in 50..60 {
        put(n);
        // Late by its own clock, and before what followers look at.
        put(5);
    }
    f.logs.flush().await;
    put(7777);
    f.logs.flush().await;
    let mut seen = Vec::new();
    loop {
        let event = early.next().await.unwrap();
        if event.message == "7777" {
            break;
        }
        seen.push(event.message.parse::<i64>().unwrap());
    }
    seen.sort_unstable();
    let mut expected: Vec<i64> = (0..60).chain([5; 10]).collect();
    expected.sort_unstable();
    assert_eq!(seen, expected);
    let mut seen = Vec::new();
    loop {
        let event = late.next().await.unwrap();
        if event.message == "7777" {
            break;
        }
        seen.push(event.message);
    }
    assert_eq!(seen, (10..60).map(|n| n.to_string()).collect::<Vec<_>>());
    // Nothing is left, and nothing comes again.
    assert!(futures::poll!(Box::pin(late.next())).is_pending());
}

#[tokio::test]
async fn a_follower_that_was_too_slow_catches_up() {
    let f = Fixture::new().await;
    let name = group("g");
    let now = f.clock.now();
    let mut tail = f.logs.tail(&name, now);
    assert!(futures::poll!(Box::pin(tail.next())).is_pending());
    let (mut expected, mut seen) = (Vec::new(), Vec::new());
    for n in 0..5000 {
        f.put_one(&name, n).await;
        expected.push(n.to_string());
        if n == 10 {
            while seen.len() < 5 {
                seen.push(tail.next().await.unwrap().message);
            }
        }
    }
    while seen.len() < expected.len() {
        seen.push(tail.next().await.unwrap().message);
    }
    assert_eq!(seen, expected);
    assert!(futures::poll!(Box::pin(tail.next())).is_pending());
}

impl Fixture {
    async fn put_one(&self, name: &crate::GroupName, n: i64) {
        self.logs.put(name, "s", vec![(Timestamp::from_millis(self.now() + n), n.to_string())]);
        self.logs.flush().await;
    }
}

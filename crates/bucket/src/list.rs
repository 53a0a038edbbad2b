//! Going through a bucket's keys: prefixes, delimiters, pages.

use std::ops::ControlFlow;

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use bytes::Bytes;
use service::Fault;
use store::{KeyReader, Range};

use crate::bucket_record::Upload;
use crate::fault::{Error, invalid_argument};
use crate::keys;
use crate::record::{Object, VersionId};
use crate::view::{self, View};

/// Entries that one answer has at most.
pub const LIST_KEYS_MAX: usize = 1000;
/// Records read at once behind a common prefix, where it is likely that the next is another prefix.
const PAGE_AFTER_PREFIX: usize = 16;

/// What is asked for.
#[derive(Clone, Debug, Default)]
pub(crate) struct Query {
    pub(crate) prefix: String,
    pub(crate) delimiter: Option<String>,
    pub(crate) after: After,
    pub(crate) max: usize,
}

/// Behind what a listing begins.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum After {
    #[default]
    Nothing,
    Key(String),
    /// All keys that begin so.
    Prefix(String),
}

impl After {
    /// What the caller named as the last key it has: it may be a common prefix.
    pub(crate) fn marker(marker: &str, query_prefix: &str, delimiter: Option<&str>) -> After {
        match common_prefix(marker, query_prefix, delimiter) {
            Some(common) if common == marker => After::Prefix(marker.to_owned()),
            _ if marker.is_empty() => After::Nothing,
            _ => After::Key(marker.to_owned()),
        }
    }

    pub(crate) fn token(&self) -> String {
        let text = match self {
            After::Nothing => String::new(),
            After::Key(key) => format!("k{key}"),
            After::Prefix(prefix) => format!("p{prefix}"),
        };
        BASE64_URL_SAFE_NO_PAD.encode(text)
    }

    pub(crate) fn of_token(token: &str) -> Result<After, Fault> {
        let text = BASE64_URL_SAFE_NO_PAD.decode(token).ok().and_then(|t| String::from_utf8(t).ok());
        let after = text.and_then(|text| match text.split_at_checked(1)? {
            ("k", key) => Some(After::Key(key.to_owned())),
            ("p", prefix) => Some(After::Prefix(prefix.to_owned())),
            _ => None,
        });
        let message = "The continuation token provided is incorrect";
        after.ok_or_else(|| invalid_argument(message, "continuation-token", token))
    }

    fn place(&self, base: &[u8]) -> Vec<u8> {
        match self {
            After::Nothing => base.to_vec(),
            After::Key(key) => {
                // Behind everything that has this key.
                let mut place = keys::beginning_with(base.to_vec(), key);
                place.extend_from_slice(&[0, 1]);
                store::successor(&place)
            }
            After::Prefix(prefix) => keys::behind(base.to_vec(), prefix),
        }
    }
}

/// The part of `key` up to the first delimiter behind the prefix, if it is rolled up.
fn common_prefix<'k>(key: &'k str, prefix: &str, delimiter: Option<&str>) -> Option<&'k str> {
    let delimiter = delimiter.filter(|d| !d.is_empty())?;
    let rest = key.strip_prefix(prefix)?;
    Some(&key[..prefix.len() + rest.find(delimiter)? + delimiter.len()])
}

/// One page of a listing.
#[derive(Debug)]
pub(crate) struct Page<T> {
    pub(crate) entries: Vec<T>,
    pub(crate) prefixes: Vec<String>,
    /// Behind what the next page begins, if there is one.
    pub(crate) next: Option<After>,
}

/// What a visitor does with a record.
enum Visit<T> {
    /// Nothing to list here.
    Skip,
    Take(Vec<T>),
    /// More than there is room for; what there is room for.
    Full(Vec<T>),
}

/// Goes through the records in `base` whose first part behind it is a key. Only records that are `listed` make their
/// common prefix appear.
fn walk<V: View + ?Sized, T>(
    view: &V,
    base: &[u8],
    query: &Query,
    start: Vec<u8>,
    listed: impl Fn(&Bytes) -> Result<bool, store::Error>,
    mut visit: impl FnMut(&str, &[u8], &Bytes, usize) -> Result<Visit<T>, store::Error>,
) -> Result<Page<T>, store::Error> {
    let mut page = Page { entries: Vec::new(), prefixes: Vec::new(), next: None };
    if query.max == 0 {
        return Ok(page);
    }
    let end = keys::behind(base.to_vec(), &query.prefix);
    let mut from = start.max(keys::beginning_with(base.to_vec(), &query.prefix));
    let mut limit = query.max.saturating_add(1).min(LIST_KEYS_MAX);
    let mut last = After::Nothing;
    loop {
        let records = view.scan(&Range::between(from.clone(), end.clone()).limit(limit))?;
        let is_last = records.len() < limit;
        limit = (limit * 2).min(LIST_KEYS_MAX);
        for (place, record) in &records {
            if *place < from {
                continue;
            }
            let mut reader = KeyReader::new(&place[base.len()..]);
            let key = reader.str()?;
            let room = query.max - page.entries.len() - page.prefixes.len();
            if let Some(common) = common_prefix(&key, &query.prefix, query.delimiter.as_deref()) {
                if !listed(record)? {
                    from = [place, &[0][..]].concat();
                    continue;
                }
                if room == 0 {
                    page.next = Some(last);
                    return Ok(page);
                }
                page.prefixes.push(common.to_owned());
                last = After::Prefix(common.to_owned());
                from = keys::behind(base.to_vec(), common);
                limit = PAGE_AFTER_PREFIX;
                continue;
            }
            match visit(&key, reader.rest(), record, room)? {
                Visit::Skip => {}
                Visit::Take(entries) => {
                    page.entries.extend(entries);
                    last = After::Key(key);
                }
                Visit::Full(entries) => {
                    page.next = Some(if entries.is_empty() { last } else { After::Key(key) });
                    page.entries.extend(entries);
                    return Ok(page);
                }
            }
            from = [place, &[0][..]].concat();
        }
        if is_last {
            return Ok(page);
        }
    }
}

/// Objects in the order of their keys; delete markers are left out.
pub(crate) fn objects<V: View + ?Sized>(
    view: &V,
    bucket: &str,
    query: &Query,
) -> Result<Page<(String, Object)>, Error> {
    let base = keys::objects(bucket);
    let is_live = |record: &Bytes| Ok(Object::decode(record)?.body.is_some());
    let page = walk(view, &base, query, query.after.place(&base), is_live, |key, _, record, room| {
        let object = Object::decode(record)?;
        Ok(match (&object.body, room) {
            (None, _) => Visit::Skip,
            (Some(_), 0) => Visit::Full(Vec::new()),
            (Some(_), _) => Visit::Take(vec![(key.to_owned(), object)]),
        })
    })?;
    Ok(page)
}

/// One version of a key.
#[derive(Debug)]
pub(crate) struct Version {
    pub(crate) key: String,
    pub(crate) object: Object,
    pub(crate) is_latest: bool,
}

/// All versions and delete markers, newest first within a key. `after` is the version to begin behind.
pub(crate) fn versions<V: View + ?Sized>(
    view: &V,
    bucket: &str,
    query: &Query,
    after: Option<(&str, VersionId)>,
) -> Result<Page<Version>, Error> {
    let base = keys::objects(bucket);
    // Versions of the marker's key with smaller sequence numbers are still to come.
    let resumed = match after {
        None => None,
        Some((key, version)) => match view::version(view, bucket, key, version)? {
            Some((object, _)) => Some((key, object.seq)),
            None => match version {
                VersionId::Id { seq, .. } => Some((key, seq)),
                VersionId::Null => None,
            },
        },
    };
    let start = match resumed {
        Some((key, _)) => keys::object(bucket, key),
        None => query.after.place(&base),
    };
    let page = walk(
        view,
        &base,
        query,
        start,
        |_| Ok(true),
        |key, _, record, room| {
            let below = resumed.filter(|(resumed, _)| *resumed == key).map_or(u64::MAX, |(_, seq)| seq);
            versions_of(view, bucket, key, record, below, room)
        },
    )?;
    Ok(page)
}

fn versions_of<V: View + ?Sized>(
    view: &V,
    bucket: &str,
    key: &str,
    latest: &Bytes,
    below: u64,
    room: usize,
) -> Result<Visit<Version>, store::Error> {
    let latest = Object::decode(latest)?;
    let version = |object, is_latest| Version { key: key.to_owned(), object, is_latest };
    let mut found = Vec::new();
    if latest.seq < below {
        found.push(version(latest, true));
    }
    let prefix = keys::versions(bucket, key);
    let start = if below == u64::MAX { prefix.clone() } else { keys::version(bucket, key, below.saturating_sub(1)) };
    if below > 0 {
        let range = Range::between(start, store::successor(&prefix)).limit(room.saturating_add(1));
        for (_, record) in view.scan(&range)? {
            found.push(version(Object::decode(&record)?, false));
        }
    }
    Ok(match found.len() {
        0 => Visit::Skip,
        n if n > room => {
            found.truncate(room);
            Visit::Full(found)
        }
        _ => Visit::Take(found),
    })
}

/// Unfinished uploads in the order of their keys, then of their beginning.
pub(crate) fn uploads<V: View + ?Sized>(
    view: &V,
    bucket: &str,
    query: &Query,
    after: Option<(&str, &str)>,
) -> Result<Page<(String, String, Upload)>, Error> {
    let base = keys::uploads(bucket);
    let start = match after {
        Some((key, upload_id)) => store::successor(&keys::upload(bucket, key, upload_id)),
        None => query.after.place(&base),
    };
    let page = walk(
        view,
        &base,
        query,
        start,
        |_| Ok(true),
        |key, rest, record, room| {
            if room == 0 {
                return Ok(Visit::Full(Vec::new()));
            }
            let upload_id = KeyReader::new(rest).str()?;
            Ok(Visit::Take(vec![(key.to_owned(), upload_id, Upload::decode(record)?)]))
        },
    )?;
    Ok(page)
}

/// Calls `visit` with every bucket's name and record until it breaks.
pub(crate) fn buckets<V: View + ?Sized>(
    view: &V,
    prefix: &str,
    after: Option<&str>,
    mut visit: impl FnMut(String, &Bytes) -> Result<ControlFlow<()>, store::Error>,
) -> Result<(), store::Error> {
    let base = keys::buckets();
    let mut from = keys::beginning_with(base.clone(), prefix);
    if let Some(after) = after {
        from = from.max(store::successor(&keys::bucket(after)));
    }
    let mut range = Range::between(from, keys::behind(base.clone(), prefix)).limit(LIST_KEYS_MAX);
    loop {
        let records = view.scan(&range)?;
        for (place, record) in &records {
            let name = KeyReader::new(&place[base.len()..]).str()?;
            if visit(name, record)?.is_break() {
                return Ok(());
            }
        }
        match records.last() {
            Some((last, _)) if records.len() == LIST_KEYS_MAX => range = range.after(last),
            _ => return Ok(()),
        }
    }
}

//! Writes the starting corpus of each target from the test data of the crates: `seeds CRATES_FOLDER CORPUS_FOLDER`.

use std::fs;
use std::path::Path;

use serde_json::Value;

/// Data sets; the first byte says how `item_readers` takes them.
const DATA_SETS: &[&str] = &[
    "\0[{\"a\": 1}, \"x\\n\", -2.5e3, [null, true]]\n",
    "\u{1}{\"b\": {}, \"a\": [[1, {\"k\": \"v\"}], 2]}",
    "\u{2}{\"k\": 1, \"l\": [2]}",
    "\u{b}\u{feff}{\"a\": 1}\r\n\n[2]\n\"x\"",
    "\u{14}a,b\r\n1,\"x\"\"y\nz\"\r\n\\,2,3\n\n4",
    "\u{5}1|\"|\"\n2",
    "\u{6}{\"fileFormat\":\"CSV\",\"fileSchema\":\"a, b\",\"destinationBucket\":\"arn:aws:s3:::b\",\"files\":[{\"key\":\"k\"}]}",
    "\u{f}s3://b/k\n\"s3://b/k\"\n",
];

fn main() {
    let mut words = std::env::args().skip(1);
    let (Some(crates), Some(corpus)) = (words.next(), words.next()) else {
        eprintln!("usage: seeds CRATES_FOLDER CORPUS_FOLDER");
        std::process::exit(2)
    };
    let corpus = Path::new(&corpus);
    let mut written = 0;
    let folder = corpus.join("item_readers");
    fs::create_dir_all(&folder).expect("make a corpus folder");
    for text in DATA_SETS {
        fs::write(folder.join(format!("seed-{written}")), text).expect("write a seed");
        written += 1;
    }
    for_each_file(Path::new(&crates), &mut |path| {
        let inside = path.to_string_lossy();
        if !inside.contains("/tests/") || path.extension().is_none_or(|extension| extension != "json") {
            return;
        }
        let Some(value) = fs::read_to_string(path).ok().and_then(|text| serde_json::from_str(&text).ok()) else {
            return;
        };
        each_seed(&value, &mut |target, text| {
            let folder = corpus.join(target);
            fs::create_dir_all(&folder).expect("make a corpus folder");
            fs::write(folder.join(format!("seed-{written}")), text).expect("write a seed");
            written += 1;
        });
    });
    eprintln!("{written} seeds");
}

fn for_each_file(folder: &Path, visit: &mut dyn FnMut(&Path)) {
    let mut entries: Vec<_> = fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path()).collect();
    entries.sort();
    for path in entries {
        if path.is_dir() { for_each_file(&path, visit) } else { visit(&path) }
    }
}

/// The members that hold what a target reads, wherever they are.
fn each_seed(value: &Value, give: &mut dyn FnMut(&str, &str)) {
    match value {
        Value::Array(items) => items.iter().for_each(|item| each_seed(item, give)),
        Value::Object(members) => {
            for (name, member) in members {
                let text = || member.as_str().map_or_else(|| member.to_string(), str::to_owned);
                match name.as_str() {
                    "definition" => give("definition", &text()),
                    "path" | "call" | "template" => give("json_path", &text()),
                    "expr" | "expression" => give("jsonata", &text()),
                    _ => {}
                }
                each_seed(member, give);
            }
        }
        _ => {}
    }
}

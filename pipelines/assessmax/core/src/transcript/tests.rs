use serde_json::json;

use super::*;

fn job(format: &str) -> Job {
    Job::parse(&json!({
        "job_id": "job-1",
        "input_key": format!("raw/c1/2024-01-15/t.{format}"),
        "format": format,
        "class_id": "c1",
        "date": "2024-01-15",
        "metadata": {"teacher": "Okafor"},
    }))
    .unwrap()
}

fn parse(format: &str, text: &str) -> Transcript {
    Transcript::parse(&job(format), text.as_bytes()).unwrap()
}

fn error(format: &str, bytes: impl AsRef<[u8]>) -> String {
    let failure = Transcript::parse(&job(format), bytes.as_ref()).unwrap_err();
    assert_eq!(failure.kind, Kind::InvalidTranscript);
    failure.message
}

/// `line start-end Name: text`, a line each.
fn shown(transcript: &Transcript) -> Vec<String> {
    let time = |ms: Option<u64>| ms.map_or("?".to_owned(), |ms| ms.to_string());
    transcript
        .segments
        .iter()
        .map(|s| {
            let name = &transcript.speakers[s.speaker].name;
            format!("{} {}-{} {name}: {}", s.line, time(s.start_ms), time(s.end_ms), s.text)
        })
        .collect()
}

const CSV: &str = "start,end,speaker,text\n00:01,00:02.5,Maya,\"Yes, \"\"so\"\"\nand\"\n00:03,00:04,Priya,No\n";
const JSON: &str = "{\n\"segments\": [\n {\"speaker\": \"Maya\", \"start\": 1, \"end\": 2.5, \"text\": \"Yes\"},\n\
    {\"speaker\": \"Priya\", \"start_ms\": 3000, \"text\": \"No\"},\n {\"start\": \"00:05\", \"text\": \"Hm\"}]}";
const SRT: &str = "1\n00:00:01,000 --> 00:00:02,500\nMaya: Yes\nand so\n\n2\n00:00:03,000 --> 00:00:04,000\nstill me\n\n\
    3\n00:00:09,000 --> 00:00:10,000\n- <i>Priya: No</i>\n- Maya: Oh\n";
const TXT: &str = "# header\n[00:00:01] Maya: Yes\n  and so\n[laughter]\n00:03 Priya (softly): No: never\nMAYA: Oh\n";
const VTT: &str = "WEBVTT - x\nKind: captions\n\nNOTE\nnot --> spoken\n\nSTYLE\n::cue {}\n\nid-1\n\
    00:01.000 --> 00:00:02.500 align:left\n<v.loud Maya>Yes &amp; <b>no</b></v>\n<v Priya>No</v>\n\n\
    00:03.000 --> 00:04.000\nTom: Hm\n";

#[test]
fn each_form_becomes_the_same() {
    assert_eq!(
        shown(&parse("txt", TXT)),
        ["2 1000-? Maya: Yes and so", "5 3000-? Priya: No: never", "6 ?-? Maya: Oh",]
    );
    assert_eq!(
        shown(&parse("vtt", VTT)),
        ["12 1000-2500 Maya: Yes & no", "13 1000-2500 Priya: No", "16 3000-4000 Tom: Hm",]
    );
    assert_eq!(
        shown(&parse("srt", SRT)),
        ["3 1000-4000 Maya: Yes and so still me", "12 9000-10000 Priya: No", "13 9000-10000 Maya: Oh",]
    );
    assert_eq!(shown(&parse("json", JSON)), ["3 1000-2500 Maya: Yes", "4 3000-? Priya: No", "5 5000-? Unknown: Hm"]);
    assert_eq!(shown(&parse("csv", CSV)), ["2 1000-2500 Maya: Yes, \"so\" and", "4 3000-4000 Priya: No"]);
}

#[test]
fn marks_line_ends_and_utf_16_change_nothing() {
    for (format, text) in [("txt", TXT), ("vtt", VTT), ("srt", SRT), ("json", JSON), ("csv", CSV)] {
        let plain = parse(format, text);
        let windows = text.replace('\n', "\r\n");
        let marked = format!("\u{FEFF}{windows}");
        let wide = |unit: fn(u16) -> [u8; 2]| -> Vec<u8> { marked.encode_utf16().flat_map(unit).collect() };
        for bytes in [
            windows.as_bytes(),
            marked.as_bytes(),
            &wide(u16::to_le_bytes),
            &wide(u16::to_be_bytes),
            text.replace('\n', "\r").as_bytes(),
        ] {
            assert_eq!(Transcript::parse(&job(format), bytes).unwrap(), plain, "{format}");
        }
    }
}

#[test]
fn roles_come_from_metadata_fields_and_titles() {
    let text = "Okafor: a\nMs. Lee: b\nTeacher 2: c\nMissy: d\nDrew: e\nAll: f\nMR. LEE: g\nMs. lee: h";
    let roles: Vec<(String, Role)> = parse("txt", text).speakers.into_iter().map(|s| (s.name, s.role)).collect();
    let expected = [
        ("Okafor", Role::Teacher),
        ("Ms. Lee", Role::Teacher),
        ("Teacher 2", Role::Teacher),
        ("Missy", Role::Student),
        ("Drew", Role::Student),
        ("All", Role::Unknown),
        ("MR. LEE", Role::Teacher),
    ];
    assert_eq!(roles, expected.map(|(name, role)| (name.to_owned(), role)));

    let csv = parse("csv", "speaker,role,text\nSam,Aide,a\nKim,student,b\nSam,,c\n");
    assert_eq!(csv.speakers.iter().map(|s| s.role).collect::<Vec<_>>(), [Role::Teacher, Role::Student]);
    let json = parse("json", r#"[{"speaker":"Sam","role":"teacher","text":"a"}]"#);
    assert_eq!(json.speakers[0].role, Role::Teacher);
}

#[test]
fn names_look_like_names() {
    let text =
        "Juan de la Cruz: a\nT.J.: b\nO'Neil: c\nSpeaker 1: d\nMaya\u{301}: e\n李华: f\nhere is the thing: no name";
    let transcript = parse("txt", text);
    let names: Vec<&str> = transcript.speakers.iter().map(|s| s.name.as_str()).collect();
    assert_eq!(names.len(), 6, "{names:?}");
    assert_eq!(transcript.segments[5].text, "f here is the thing: no name");
}

#[test]
fn nothing_is_nothing() {
    for format in ["txt", "vtt", "srt", "json", "csv"] {
        assert_eq!(parse(format, ""), Transcript::default(), "{format}");
    }
    assert_eq!(parse("vtt", "WEBVTT\n"), Transcript::default());
    assert_eq!(parse("json", "[]"), Transcript::default());
    assert_eq!(parse("csv", "speaker,text\n"), Transcript::default());
}

#[test]
fn an_error_names_file_and_line() {
    let cases: [(&str, &str, &str); 34] = [
        ("txt", "[00:61] Maya: a", "t.txt line 1: \"00:61\" has 61 seconds in a minute"),
        ("txt", "[00:1x:00] Maya: a", "line 1: \"00:1x:00\" is not a time like HH:MM:SS"),
        ("txt", "[00:70:00] Maya: a", "line 1: \"00:70:00\" has 70 minutes in an hour"),
        ("txt", "[00:01:00 Maya: a", "line 1: the time at the start has no \"]\""),
        ("txt", "[00:02] A: a\n[00:01] B: b", "line 2: the time goes back: 00:00:01 after 00:00:02"),
        ("txt", "hello there", "line 1: expected \"Name: what was said\", found \"hello there\""),
        ("vtt", "VTT\n\n", "line 1: expected \"WEBVTT\", found \"VTT\""),
        ("vtt", "WEBVTT\n\n00:00:01.000 -> 00:00:02.000\nA: a", "line 4: expected times like"),
        ("vtt", "WEBVTT\n\n00:00:01.000 --> 00:00:0z.000\nA: a", "line 3: \"00:00:0z.000\" is not a time like"),
        ("vtt", "WEBVTT\n\n00:00:01,000 --> 00:00:02,000\nA: a", "line 3: \"00:00:01,000\" is not a time like"),
        ("vtt", "WEBVTT\n\n00:02.000 --> 00:01.000\nA: a", "line 3: the cue ends before it begins"),
        ("vtt", "WEBVTT\n\n00:02.000 --> 00:03.000\na\n\n00:01.000 --> 00:03.000\nb", "line 6: the cue begins before"),
        ("srt", "one\n00:00:01,000 --> 00:00:02,000\na", "line 1: expected the number of a cue, found \"one\""),
        ("srt", "1\n\n2\n", "line 1: cue 1 has no times"),
        ("srt", "1\n00:00:01.000 --> 00:00:02.000\na", "line 2: \"00:00:01.000\" is not a time like HH:MM:SS,mmm"),
        ("srt", "1\n00:01,000 --> 00:02,000\na", "line 2: \"00:01,000\" is not a time like HH:MM:SS,mmm"),
        ("srt", "1\n00:00:09,000\na", "line 2: \"00:00:09,000\" has no -->"),
        ("json", "{\n\"segments\": [\n}", "line 3: not JSON: expected value"),
        ("json", "{\"a\": 1}", "line 1: expected an object with a list \"segments\", or a list"),
        ("json", "{\"segments\": 7}", "line 1: expected a list of utterances"),
        ("json", "[\n{\"text\": \"a\"},\n{\"speaker\": \"M\"}]", "line 3: the utterance has no \"text\""),
        ("json", "[\n{\"text\": 5}]", "line 2: \"text\" is not a string"),
        ("json", "[\n7]", "line 2: expected an object with \"speaker\" and \"text\""),
        ("json", "[\n{\"text\": \"a\", \"start\": -1}]", "line 2: \"start\" is not a time in seconds: -1"),
        ("json", "[{\"text\": \"a\", \"start\": 2, \"end\": 1}]", "line 1: the utterance ends before it begins"),
        (
            "json",
            "[{\"text\":\"a\",\"start\":2},\n{\"text\":\"b\",\"start\":1}]",
            "line 2: the utterance begins before",
        ),
        ("csv", "who,text\nA,a", "line 1: the header has no column \"speaker\": found who, text"),
        ("csv", "speaker,text\nA,a,b", "line 2: expected 2 fields as in the header, found 3"),
        ("csv", "speaker,text\nA,\"a\nb", "line 2: a quote is opened here and never closed"),
        ("csv", "speaker,text\nA,\"a\" b", "line 2: text after a closing quote"),
        ("csv", "speaker,text,start\nA,a,soon", "line 2: \"soon\" is not a time like HH:MM:SS"),
        ("csv", "speaker,text,start,end\nA,a,00:02,00:01", "line 2: the row ends before it begins"),
        ("csv", "speaker,text,start\nA,a,00:02\nB,b,00:01", "line 3: the row begins before the one above it"),
        ("txt", "A: a\nB: b\u{0}", "line 2: control character U+0000"),
    ];
    for (format, text, expected) in cases {
        let message = error(format, text);
        assert!(message.starts_with("raw/c1/2024-01-15/t.") && message.contains(expected), "{text:?}: {message}");
    }
}

#[test]
fn spoiled_letters_are_refused() {
    for (text, shown) in [
        ("Maya: ok\nMaya: I donâ€™t know", "line 2: \"donâ€™t\" is garbled"),
        ("Maya: un cafÃ© por favor", "line 1: \"cafÃ©\" is garbled"),
        ("Maya: Â¿QuÃ©?", "line 1: \"Â¿QuÃ©?\" is garbled"),
        ("ï»¿Maya: hi", "line 1: \"ï»¿Maya:\" is garbled"),
        ("Maya: nice ðŸ˜€", "line 1: \"ðŸ˜€\" is garbled"),
        ("Maya: 5 â‚¬ please", "line 1: \"â‚¬\" is garbled"),
        ("Maya: caf\u{FFFD} au lait", "line 1: \"caf\u{FFFD}\" holds the replacement character"),
    ] {
        let message = error("txt", text);
        assert!(message.contains(shown), "{message}");
    }
    assert!(error("txt", b"Maya: a\nMaya: caf\xe9").contains("line 2: byte 0xE9 is not UTF-8"));
    assert!(error("txt", b"\xff\xfeM\x00\x00\xd8x\x00").contains("line 1: half of a UTF-16 character"));
    assert!(error("txt", b"\xff\xfeM\x00:\x00x").contains("line 1: the file ends within a UTF-16 character"));
}

#[test]
fn letters_that_are_meant_are_kept() {
    for text in [
        "Maya: “café”—she said, naïve, Ångström, São Paulo, IRMÃ, âge",
        "Maya: Spaß” und “Größe”, 5 °C, ½, ¿qué?, Ελλάδα, 你好, 😀",
        "Maya: MÃO, â la carte, “Ï”, ðat",
    ] {
        assert_eq!(parse("txt", text).segments[0].text, &text[6..]);
    }
}

#[test]
fn limits_are_errors() {
    assert!(error("txt", vec![b'a'; BYTES_MAX + 1]).contains("more than 10485760"));
    let many: String = (0..=SPEAKERS_MAX).map(|n| format!("S{n}: hi\n")).collect();
    assert_eq!(
        error("txt", many),
        format!("raw/c1/2024-01-15/t.txt line {}: more than 200 speakers", SPEAKERS_MAX + 1)
    );
    let long = "A: x\n".repeat(SEGMENTS_MAX + 1);
    assert!(error("txt", long).contains("line 50001: more than 50000 utterances"));
}

#[test]
fn any_bytes_give_an_answer() {
    // A small generator instead of a dependency: bytes that lie near those of real transcripts.
    let alphabet: Vec<&[u8]> = [TXT, VTT, SRT, JSON, CSV]
        .iter()
        .flat_map(|t| t.as_bytes().chunks(3))
        .chain([&b"\xff"[..], b"\"", b"\n\n"])
        .collect();
    let mut state = 0x2545_F491_4F6C_DD1D_u64;
    for round in 0..4_000 {
        let mut bytes = Vec::new();
        for _ in 0..round % 60 {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            bytes.extend_from_slice(alphabet[state as usize % alphabet.len()]);
        }
        for format in ["txt", "vtt", "srt", "json", "csv"] {
            let _ = Transcript::parse(&job(format), &bytes);
        }
    }
}

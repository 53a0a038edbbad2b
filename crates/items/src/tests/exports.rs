//! Result files; texts as AWS wrote them.

use base::Timestamp;
use serde_json::json;

use crate::results::{
    Assembler, Child, ChildStatus, FILE_BYTES_MAX, FileKind, OutputType, ResultFile, Transformation, WriterConfig,
    directory, entries, manifest, manifest_key, pending_entry, state_output,
};

fn child(status: ChildStatus, output: Option<&'static str>) -> Child<'static> {
    let failed = status != ChildStatus::Succeeded;
    Child {
        execution_arn: "arn:e",
        state_machine_arn: "arn:m",
        name: "n",
        status,
        input: Some(r#"{"n":1}"#),
        output,
        error: failed.then_some("E"),
        cause: failed.then_some("why"),
        start: Timestamp::from_millis(1_790_204_341_592),
        stop: Some(Timestamp::from_millis(1_790_204_345_760)),
        redrive_count: 0,
        redrive_status: if failed { "REDRIVABLE_BY_MAP_RUN" } else { "NOT_REDRIVABLE" },
        redrive_status_reason: (!failed).then_some("Execution is SUCCEEDED and cannot be redriven"),
    }
}

fn lines(child: &Child<'_>, transformation: Transformation) -> String {
    let mut out = Vec::new();
    entries(&mut out, child, transformation).unwrap();
    String::from_utf8(out).unwrap()
}

/// The files that the lines make, in pieces of some size.
fn files(text: &str, output_type: OutputType, bytes_max: u64, piece_bytes: usize) -> Vec<(ResultFile, String)> {
    let mut assembler = Assembler::new(FileKind::Succeeded, "p/id/", output_type, bytes_max);
    let (mut files, mut out) = (Vec::new(), Vec::new());
    for mut piece in text.as_bytes().chunks(piece_bytes) {
        while !piece.is_empty() {
            let step = assembler.push(piece, &mut out);
            piece = &piece[step.used..];
            if let Some(file) = step.complete {
                files.push((file, String::from_utf8(std::mem::take(&mut out)).unwrap()));
            }
        }
    }
    let last = assembler.finish(&mut out);
    files.push((last, String::from_utf8(out).unwrap()));
    files
}

#[test]
fn whole_executions() {
    assert_eq!(
        lines(&child(ChildStatus::Succeeded, Some("[1]")), Transformation::None),
        concat!(
            r#"{"ExecutionArn":"arn:e","Input":"{\"n\":1}","InputDetails":{"Included":true},"Name":"n","Output":"[1]","#,
            r#""OutputDetails":{"Included":true},"RedriveCount":0,"RedriveStatus":"NOT_REDRIVABLE","#,
            r#""RedriveStatusReason":"Execution is SUCCEEDED and cannot be redriven","StartDate":"2026-09-23T22:59:01.592Z","#,
            r#""StateMachineArn":"arn:m","Status":"SUCCEEDED","StopDate":"2026-09-23T22:59:05.760Z"}"#,
            "\n"
        )
    );
    for transformation in [Transformation::None, Transformation::Compact, Transformation::Flatten] {
        assert_eq!(
            lines(&child(ChildStatus::Failed, None), transformation),
            concat!(
                r#"{"Cause":"why","Error":"E","ExecutionArn":"arn:e","Input":"{\"n\":1}","InputDetails":{"Included":true},"#,
                r#""Name":"n","OutputDetails":{"Included":true},"RedriveCount":0,"RedriveStatus":"REDRIVABLE_BY_MAP_RUN","#,
                r#""StartDate":"2026-09-23T22:59:01.592Z","StateMachineArn":"arn:m","Status":"FAILED","#,
                r#""StopDate":"2026-09-23T22:59:05.760Z"}"#,
                "\n"
            )
        );
    }
    let mut pending = Vec::new();
    pending_entry(&mut pending, "7");
    assert_eq!(pending, b"{\"Input\":\"7\",\"InputDetails\":{\"Included\":true},\"Status\":\"PENDING\"}\n");
}

#[test]
fn outputs_alone() {
    let of = |output, transformation| lines(&child(ChildStatus::Succeeded, Some(output)), transformation);
    assert_eq!(of("[10, {\"copy\": 10}]", Transformation::Flatten), "10\n{\"copy\":10}\n");
    assert_eq!(of("[10,{\"copy\":10}]", Transformation::Compact), "[10,{\"copy\":10}]\n");
    assert_eq!(of("[]", Transformation::Flatten), "");
    assert_eq!(of("{\"a\":\n [1]}", Transformation::Flatten), "{\"a\":[1]}\n");
    assert_eq!(of("\"text\"", Transformation::Flatten), "\"text\"\n");
    assert_eq!(of("{\n}", Transformation::Compact), "{}\n");
    let mut out = Vec::new();
    for broken in ["[1", "\n", "[1,]"] {
        let broken = child(ChildStatus::Succeeded, Some(broken));
        let error = entries(&mut out, &broken, Transformation::Flatten).unwrap_err();
        assert_eq!(error.name(), "States.ResultWriterFailed");
    }
}

#[test]
fn files_of_lines() {
    let text = "10\n{\"copy\":10}\n20\n";
    for piece_bytes in 1..=text.len() {
        let json = files(text, OutputType::Json, FILE_BYTES_MAX, piece_bytes);
        assert_eq!(json[0].1, "[10,{\"copy\":10},20]");
        let expected = ResultFile { kind: FileKind::Succeeded, key: "p/id/SUCCEEDED_0.json".to_owned(), size: 19 };
        assert_eq!((json.len(), &json[0].0), (1, &expected));
        let lines = files(text, OutputType::JsonLines, FILE_BYTES_MAX, piece_bytes);
        assert_eq!((lines[0].0.key.as_str(), lines[0].1.as_str()), ("p/id/SUCCEEDED_0.jsonl", text));
        let split = files(text, OutputType::Json, 15, piece_bytes);
        let contents: Vec<&str> = split.iter().map(|(_, content)| content.as_str()).collect();
        assert_eq!(contents, ["[10]", "[{\"copy\":10}]", "[20]"]);
        assert!(split.iter().all(|(file, content)| file.size == content.len() as u64));
        assert_eq!(split[2].0.key, "p/id/SUCCEEDED_2.json");
        let split = files(text, OutputType::JsonLines, 17, piece_bytes);
        assert_eq!(split.iter().map(|(_, content)| content.as_str()).collect::<String>(), text);
    }
    assert_eq!(files("", OutputType::Json, 100, 1)[0].1, "[]");
    assert_eq!(files("", OutputType::JsonLines, 100, 1)[0].1, "");
}

#[test]
fn the_manifest() {
    let directory = directory(Some("results/tolerance"), "d0b38e10", 0);
    let file = |kind: FileKind, size| ResultFile { kind, key: kind.key(&directory, OutputType::Json, 0), size };
    assert_eq!(
        manifest("bucket", "arn:run", &[file(FileKind::Succeeded, 5596), file(FileKind::Failed, 816)]),
        concat!(
            r#"{"DestinationBucket":"bucket","MapRunArn":"arn:run","ResultFiles":{"FAILED":["#,
            r#"{"Key":"results/tolerance/d0b38e10/FAILED_0.json","Size":816}],"PENDING":[],"SUCCEEDED":["#,
            r#"{"Key":"results/tolerance/d0b38e10/SUCCEEDED_0.json","Size":5596}]}}"#
        )
    );
    assert_eq!(
        state_output("arn:run", "bucket", &manifest_key(&directory)),
        r#"{"MapRunArn":"arn:run","ResultWriterDetails":{"Bucket":"bucket","Key":"results/tolerance/d0b38e10/manifest.json"}}"#
    );
    assert_eq!(super::super::results::directory(None, "id", 2), "id/Redrive-2/");
}

#[test]
fn writer_configs() {
    let parse = |writer: serde_json::Value| WriterConfig::parse(writer.as_object().unwrap());
    let exported = parse(json!({ "Resource": "arn:aws:states:::s3:putObject" })).unwrap();
    assert_eq!(exported, WriterConfig::default());
    let shown = parse(json!({ "WriterConfig": { "OutputType": "JSONL" } })).unwrap();
    assert_eq!((shown.transformation, shown.output_type), (Transformation::Compact, OutputType::JsonLines));
    let both = parse(json!({ "Resource": "r", "WriterConfig": { "Transformation": "FLATTEN" } })).unwrap();
    assert_eq!(both.transformation, Transformation::Flatten);
    assert!(parse(json!({ "WriterConfig": { "Transformation": "X" } })).is_err());
}

use std::io::Read as _;
use std::os::unix::fs::PermissionsExt as _;
use std::sync::Mutex;

use serde_json::json;

use super::*;

fn request(dir: &Path, runtime: &str, method: Option<&str>) -> BuildRequest {
    BuildRequest {
        logical_id: "F".into(),
        code_dir: dir.to_owned(),
        runtime: runtime.into(),
        method: method.map(str::to_owned),
        properties: Value::Null,
        work_dir: dir.join(".stepwell"),
        is_layer: false,
    }
}

fn names(archive: &[u8]) -> Vec<String> {
    let mut zip = zip::ZipArchive::new(std::io::Cursor::new(archive)).unwrap();
    (0..zip.len())
        .map(|i| {
            let mut file = zip.by_index(i).unwrap();
            let mut content = String::new();
            file.read_to_string(&mut content).unwrap();
            format!("{} {:o} {content}", file.name().unwrap(), file.unix_mode().unwrap() & 0o777)
        })
        .collect()
}

#[tokio::test]
async fn python_sources_are_packed_alike_every_time() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path();
    std::fs::create_dir_all(path.join("pkg/__pycache__")).unwrap();
    std::fs::write(path.join("handler.py"), "x = 1").unwrap();
    std::fs::write(path.join("pkg/__init__.py"), "").unwrap();
    std::fs::write(path.join("pkg/__pycache__/a.pyc"), "junk").unwrap();
    std::fs::write(path.join("requirements.txt"), "# none\n\n").unwrap();
    std::fs::write(path.join("run.sh"), "#!").unwrap();
    std::fs::set_permissions(path.join("run.sh"), std::fs::Permissions::from_mode(0o700)).unwrap();
    let request = request(path, "python3.12", None);
    let built = builder(&request).unwrap().build(&request, &|_| {}).await.unwrap();
    let first = archive(&built).unwrap();
    assert_eq!(
        names(&first),
        ["handler.py 644 x = 1", "pkg/__init__.py 644 ", "requirements.txt 644 # none\n\n", "run.sh 755 #!"]
    );
    assert_eq!(first, archive(&built).unwrap());
}

#[tokio::test]
async fn what_cannot_be_built_says_why() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path();
    let error = |request: BuildRequest| async move {
        match builder(&request) {
            Ok(builder) => builder.build(&request, &|_| {}).await.unwrap_err().0,
            Err(error) => error.0,
        }
    };
    assert!(error(request(path, "provided.al2023", Some("makefile"))).await.contains("makefile is not supported"));
    assert!(error(request(path, "go1.x", Some("go1.x"))).await.contains("BuildMethod go1.x is not supported"));
    assert!(error(request(path, "provided.al2023", Some("rust-cargolambda"))).await.contains("has no Cargo.toml"));
    std::fs::write(path.join("Cargo.toml"), "").unwrap();
    assert!(error(request(path, "provided.al2023", None)).await.contains("BuildMethod: rust-cargolambda"));
    std::fs::write(path.join("package.json"), r#"{"dependencies": {"x": "1"}}"#).unwrap();
    assert!(error(request(path, "nodejs20.x", None)).await.contains("npm install"));
}

#[tokio::test]
async fn a_tool_that_fails_is_quoted() {
    let seen = Mutex::new(Vec::new());
    let mut command = tokio::process::Command::new("sh");
    command.args(["-c", "echo out; echo broken >&2; exit 3"]);
    let mut output = Vec::new();
    let lines = |line: &str| seen.lock().unwrap().push(line.to_owned());
    let error = process::run(command, "sh", &lines, |line| output.push(line.to_owned())).await.unwrap_err();
    assert!(error.0.contains("sh failed (exit status: 3)\nbroken"), "{error}");
    assert_eq!((output, seen.into_inner().unwrap()), (vec!["out".to_owned()], vec!["broken".to_owned()]));
}

#[tokio::test]
async fn a_cargo_package_becomes_a_bootstrap() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path();
    std::fs::create_dir_all(path.join("src/bin")).unwrap();
    std::fs::write(
        path.join("Cargo.toml"),
        "[package]\nname = \"f\"\nversion = \"0.1.0\"\nedition = \"2021\"\n[workspace]\n",
    )
    .unwrap();
    std::fs::write(path.join("src/bin/one.rs"), "fn main() {}").unwrap();
    std::fs::write(path.join("src/bin/two.rs"), "fn main() {}").unwrap();
    let mut wanted = request(path, "provided.al2023", Some("rust-cargolambda"));
    let built = builder(&wanted).unwrap().build(&wanted, &|_| {}).await;
    assert!(built.unwrap_err().0.contains("several binaries"));
    wanted.properties = json!({"Binary": "two"});
    let built = builder(&wanted).unwrap().build(&wanted, &|_| {}).await.unwrap();
    assert_eq!(built.parts.len(), 1);
    assert_eq!(built.parts[0].1, "bootstrap");
    assert!(built.parts[0].0.ends_with("release/two"));
    wanted.properties = json!({"Binary": "three"});
    assert!(builder(&wanted).unwrap().build(&wanted, &|_| {}).await.unwrap_err().0.contains("three"));
}

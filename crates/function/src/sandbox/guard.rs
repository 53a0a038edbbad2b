use std::collections::BTreeSet;
use std::io::Write as _;
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, PoisonError};

use tracing::warn;

/// Reads `+ group` and `- group` lines and kills what remains when the other end of the pipe is closed.
const SCRIPT: &str = r#"
trap '' INT TERM HUP PIPE
groups=' '
while read -r sign group; do
  case $sign in
    +) groups="$groups$group " ;;
    -) case "$groups" in *" $group "*) groups="${groups%% $group *} ${groups#* $group }" ;; esac ;;
  esac
done
for group in $groups; do kill -9 "-$group" 2>/dev/null; done
"#;

/// Makes sure that no worker outlives the server, however the server ends.
///
/// A small shell process holds the list of the workers' process groups and reads from a pipe whose other end is ours:
/// when we are gone, by `kill -9` too, the pipe closes and it kills them. A parent-death signal would need code
/// between fork and exec, would copy a large server's page tables at each start, fires when the *thread* that
/// started the worker ends, and spares the worker's own children.
#[derive(Debug, Default)]
pub(crate) struct Guard {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    process: Option<Child>,
    groups: BTreeSet<u32>,
    warned: bool,
}

impl Guard {
    pub fn add(&self, group: u32) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.groups.insert(group);
        state.tell('+', group);
    }

    pub fn remove(&self, group: u32) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.groups.remove(&group);
        state.tell('-', group);
    }
}

impl State {
    fn tell(&mut self, sign: char, group: u32) {
        if let Some(process) = &mut self.process {
            let pipe = process.stdin.as_mut().expect("the guard's input is a pipe");
            if pipe.write_all(format!("{sign} {group}\n").as_bytes()).is_ok() {
                return;
            }
            let _ = process.wait();
            self.process = None;
        }
        if self.groups.is_empty() {
            return;
        }
        match start(&self.groups) {
            Ok(process) => self.process = Some(process),
            Err(error) if !self.warned => {
                self.warned = true;
                warn!(%error, "no guard: workers may outlive a killed server");
            }
            Err(_) => {}
        }
    }
}

impl Drop for State {
    fn drop(&mut self) {
        if let Some(mut process) = self.process.take() {
            drop(process.stdin.take());
            let _ = process.wait();
        }
    }
}

fn start(groups: &BTreeSet<u32>) -> std::io::Result<Child> {
    let mut process = Command::new("/bin/sh")
        .args(["-c", SCRIPT, "stepwell-guard"])
        .env_clear()
        // An empty environment would look like that of a process about to start.
        .env("STEPWELL", "guard")
        .current_dir("/")
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .process_group(0)
        .spawn()?;
    let lines: String = groups.iter().map(|g| format!("+ {g}\n")).collect();
    process.stdin.as_mut().expect("the guard's input is a pipe").write_all(lines.as_bytes())?;
    Ok(process)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_dies_with_the_guard_and_the_rest_lives() {
        let sleeper = || Command::new("sleep").arg("600").process_group(0).spawn().unwrap();
        let (mut kept, mut left, mut also) = (sleeper(), sleeper(), sleeper());
        let guard = Guard::default();
        for child in [&kept, &left, &also] {
            guard.add(child.id());
        }
        guard.remove(kept.id());
        drop(guard);
        assert!(!left.wait().unwrap().success() && !also.wait().unwrap().success());
        assert!(kept.try_wait().unwrap().is_none());
        kept.kill().unwrap();
        kept.wait().unwrap();
    }
}

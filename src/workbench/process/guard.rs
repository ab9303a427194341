use std::io::{self, Write};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};

/// A shell that kills the nodes if this process is killed with SIGKILL and can't do so itself.
///
/// The kernel could do this only in part: it can be asked to kill a child when its parent dies, but not from safe Rust,
/// and the child's own children would live on.
pub(in crate::workbench) struct Guard(Child);

/// Each line of input lists the process groups that run. At the end of the input, which is the end of this process, the
/// groups of the last line are killed.
const SCRIPT: &str = r#"while read -r line; do groups=$line; done
for group in $groups; do kill -s KILL -- "-$group"; done"#;

impl Guard {
    /// Starts the shell in a process group of its own, so that a signal from the terminal to this process does not reach
    /// it.
    pub(in crate::workbench) fn start() -> io::Result<Self> {
        Command::new("/bin/sh")
            .args(["-c", SCRIPT])
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .map(Guard)
    }

    /// Sets the process groups to kill.
    pub(in crate::workbench) fn watch(&mut self, groups: impl Iterator<Item = u32>) {
        let groups: Vec<String> = groups.map(|group| group.to_string()).collect();
        if let Some(stdin) = &mut self.0.stdin {
            // This fails only if the shell has been killed. The run goes on without it.
            let _ = stdin.write_all(format!("{}\n", groups.join(" ")).as_bytes());
        }
    }
}

impl Drop for Guard {
    /// Kills the shell before it reaches the end of its input: the groups have ended, and their numbers may belong to other
    /// processes.
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

use std::io::{self, Write};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};

/// Ends the nodes if this process is killed and can't do so itself: a shell of its own that waits for that.
///
/// Parents can't leave it to the kernel: asking it to kill a child with its parent takes unsafe code between fork and
/// exec, and reaches none of the child's own children.
pub(super) struct Guard(Child);

/// Each line lists the process groups that are there; those of the last one are ended when no more can come.
const SCRIPT: &str = r#"while read -r line; do groups=$line; done
for group in $groups; do kill -s KILL -- "-$group"; done"#;

impl Guard {
    /// Starts the shell. It is in a process group of its own, so that what ends this process from a terminal does not end
    /// it as well.
    pub(super) fn start() -> io::Result<Self> {
        Command::new("/bin/sh")
            .args(["-c", SCRIPT])
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .map(Guard)
    }

    /// From now on those process groups are to be ended, and no others.
    pub(super) fn watch(&mut self, groups: impl Iterator<Item = u32>) {
        let groups: Vec<String> = groups.map(|group| group.to_string()).collect();
        if let Some(stdin) = &mut self.0.stdin {
            // If someone has ended the guard, the run goes on without it.
            let _ = stdin.write_all(format!("{}\n", groups.join(" ")).as_bytes());
        }
    }
}

impl Drop for Guard {
    /// Nothing is left to be ended, and numbers of processes may be used again.
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
